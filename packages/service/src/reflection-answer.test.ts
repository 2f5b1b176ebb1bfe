import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { ServerReflectionRequest, ServerReflectionResponse } from "@sallyport/proto/reflection";
import { expect, test } from "vitest";
import { reflectionAnswer } from "./reflection-answer.ts";

const answer = await reflectionAnswer(["sallyport.policy.v1.PolicyService"]);

function ask(messageRequest: ServerReflectionRequest["messageRequest"]): ServerReflectionResponse["messageResponse"] {
  const question = Buffer.from(ServerReflectionRequest.encode({ host: "here", messageRequest }).finish());
  return ServerReflectionResponse.decode(answer(question)).messageResponse;
}

/** The files that declare a name, read as a client in any language reads them. */
function describe(name: string): readonly FileDescriptorProto[] {
  const answered = ask({ $case: "fileContainingSymbol", value: name });
  if (answered?.$case !== "fileDescriptorResponse") throw new Error(`${name}: ${JSON.stringify(answered)}`);
  return answered.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file));
}

test("a description is the compiler's own: names that a strict reader can resolve, maps that are maps, comments", () => {
  const [file] = describe("sallyport.policy.v1.PolicyService");
  const document = file?.messageType.find(({ name }) => name === "PolicyDocument");
  expect(document?.field.map(({ name, typeName }) => [name, typeName])).toEqual([
    ["cedar_files", ".sallyport.policy.v1.PolicyDocument.CedarFilesEntry"],
    ["workloads", ".sallyport.policy.v1.Workload"],
    ["services", ".sallyport.policy.v1.Service"],
  ]);
  expect(document?.nestedType.map(({ name, options }) => [name, options?.mapEntry])).toEqual([
    ["CedarFilesEntry", true],
  ]);
  expect(file?.sourceCodeInfo?.location.some(({ leadingComments }) => leadingComments.includes("policy as code"))).toBe(
    true,
  );
});

test("a description comes with everything that it imports, the file that was asked for first", () => {
  const files = describe("sallyport.enrollment.v1.EnrollmentService.CreateToken");
  expect(files.map(({ name }) => name)).toEqual([
    "sallyport/enrollment/v1/enrollment.proto",
    "sallyport/ca/v1/ca.proto",
  ]);
});

test.each(["sallyport.errors.v1.ErrorDetail", "google.rpc.Status", "grpc.health.v1.HealthCheckResponse.ServingStatus"])(
  "%s can be described, which no service's own file declares",
  (name) => {
    expect(describe(name).length).toBeGreaterThan(0);
  },
);

test.each([
  { $case: "fileContainingSymbol", value: "nobody.v1.Service" },
  { $case: "fileByFilename", value: "nobody.proto" },
  { $case: "allExtensionNumbersOfType", value: "sallyport.ca.v1.TrustBundle" },
  { $case: "fileContainingExtension", value: { containingType: "sallyport.ca.v1.TrustBundle", extensionNumber: 1 } },
] as const)("what is not there is not found: $case", (question) => {
  expect(ask(question)).toMatchObject({ $case: "errorResponse", value: { errorCode: status.NOT_FOUND } });
});

test("a question of no kind that is known is answered as one", () => {
  expect(ask(undefined)).toMatchObject({ $case: "errorResponse", value: { errorCode: status.INVALID_ARGUMENT } });
});
