/**
 * Server reflection, by both names under which tools ask for it.
 *
 * Five services would pay at each start for a call that hardly ever comes: the method is registered with its bytes untouched, and what answers is
 * loaded with the first call.
 */
import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Method } from "./rpc-method.ts";

type AddService = (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => void;
/** Answers one question, encoded both. */
type Answer = (question: Buffer) => Buffer;

const METHOD = "ServerReflectionInfo";
const PACKAGES = ["grpc.reflection.v1", "grpc.reflection.v1alpha"];

/** What is there besides the services of a process, and is listed with them. */
export const STANDARD_SERVICES: readonly string[] = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];

/** @param services what is listed, by full name. */
export function addReflection(services: readonly string[], add: AddService): void {
  let loading: Promise<Answer> | undefined;
  const handle = (stream: ServerDuplexStream<Buffer, Buffer>): void => {
    loading ??= import("./reflection-answer.ts").then((module) => module.reflectionAnswer(services));
    answerEach(stream, loading).then(
      () => stream.end(),
      (error: Error) => stream.destroy(error),
    );
  };
  for (const name of PACKAGES) {
    add({ [METHOD]: bytesMethod(`/${name}.ServerReflection/${METHOD}`) }, { [METHOD]: handle });
  }
}

/** The next question is read when the last answer has left: a caller who only asks costs one answer's memory. */
async function answerEach(stream: ServerDuplexStream<Buffer, Buffer>, loading: Promise<Answer>): Promise<void> {
  const answer = await loading;
  for await (const question of stream) {
    await new Promise<void>((resolve, reject) => {
      stream.write(answer(question), (error: Error | null | undefined) => (error ? reject(error) : resolve()));
    });
  }
}

function bytesMethod(path: string): Method<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}
