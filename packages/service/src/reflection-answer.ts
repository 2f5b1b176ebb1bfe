/** What server reflection answers. https://github.com/grpc/grpc/blob/master/doc/server-reflection.md */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { status } from "@grpc/grpc-js";
import { ServerReflectionRequest, ServerReflectionResponse } from "@sallyport/proto/reflection";
import { DescriptorSet } from "./descriptor-set.ts";

type Question = ServerReflectionRequest["messageRequest"];
type Answer = ServerReflectionResponse["messageResponse"];

/** @param services what is listed, by full name. */
export async function reflectionAnswer(services: readonly string[]): Promise<(question: Buffer) => Buffer> {
  const file = fileURLToPath(import.meta.resolve("@sallyport/proto/descriptors.binpb"));
  const descriptors = new DescriptorSet(await readFile(file));
  return (question) => {
    const originalRequest = ServerReflectionRequest.decode(question);
    const messageResponse = answerTo(originalRequest.messageRequest, services, descriptors);
    const response = { validHost: originalRequest.host, originalRequest, messageResponse };
    return Buffer.from(ServerReflectionResponse.encode(response).finish());
  };
}

function answerTo(question: Question, services: readonly string[], descriptors: DescriptorSet): Answer {
  switch (question?.$case) {
    case "listServices":
      return { $case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(descriptors.file(question.value), question.value);
    case "fileContainingSymbol":
      return files(descriptors.fileDeclaring(question.value), question.value);
    case "allExtensionNumbersOfType":
      return fault(status.NOT_FOUND, `${question.value} has no extensions here`);
    case "fileContainingExtension":
      return fault(status.NOT_FOUND, `${question.value.containingType} has no extensions here`);
    case undefined:
      return fault(status.INVALID_ARGUMENT, "the request asks for nothing that is known here");
  }
}

function files(found: readonly Uint8Array[] | undefined, asked: string): Answer {
  if (found === undefined) return fault(status.NOT_FOUND, `${asked} is not known here`);
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto: found.map((bytes) => Buffer.from(bytes)) } };
}

function fault(errorCode: number, errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}
