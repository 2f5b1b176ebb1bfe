/**
 * gRPC server reflection (`grpc.reflection.v1` and `.v1alpha`), from the descriptors that the code was generated from.
 *
 * Reading the descriptors costs a tenth of a second, which five services would pay at each start for a call that hardly ever comes: the method is
 * registered with its bytes untouched, and what answers is loaded with the first call.
 */
import { EventEmitter } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Method } from "./rpc-method.ts";

type AddService = (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => void;
type BytesStream = ServerDuplexStream<Buffer, Buffer>;
/** Answers one stream of bytes. */
type Answer = (stream: BytesStream) => void;

const METHOD = "ServerReflectionInfo";
const PACKAGES = ["grpc.reflection.v1", "grpc.reflection.v1alpha"];

/** @param services what is shown, by full name. */
export function addReflection(services: readonly string[], add: AddService): void {
  let loading: Promise<ReadonlyMap<string, Answer>> | undefined;
  for (const name of PACKAGES) {
    const path = `/${name}.ServerReflection/${METHOD}`;
    const handle = (stream: BytesStream): void => {
      loading ??= loadAnswers(services);
      loading.then(
        (answers) => answers.get(path)?.(stream),
        (error: Error) => stream.destroy(error),
      );
    };
    add({ [METHOD]: bytesMethod(path) }, { [METHOD]: handle });
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

async function loadAnswers(services: readonly string[]): Promise<ReadonlyMap<string, Answer>> {
  const [{ loadFileDescriptorSetFromBuffer }, { ReflectionService }] = await Promise.all([
    import("@grpc/proto-loader"),
    import("@grpc/reflection"),
  ]);
  const descriptors = await readFile(fileURLToPath(import.meta.resolve("@sallyport/proto/descriptors.binpb")));
  const answers = new Map<string, Answer>();
  const take: AddService = (definition, handlers) => {
    const [method, handler] = [definition[METHOD], handlers[METHOD]];
    if (method !== undefined && handler !== undefined) answers.set(method.path, answerBy(method, handler as Handler));
  };
  new ReflectionService(loadFileDescriptorSetFromBuffer(descriptors), { services: [...services] }).addToServer({
    addService: take,
  });
  return answers;
}

/** What the library's handler uses of its stream. */
interface MessageStream extends EventEmitter {
  write(message: unknown): boolean;
  end(): void;
}
type Handler = (stream: MessageStream) => void;

/** The library's handler speaks messages: it gets a stream of messages over the stream of bytes. */
function answerBy(method: Method<unknown, unknown>, handler: Handler): Answer {
  return (stream) => {
    const messages: MessageStream = Object.assign(new EventEmitter(), {
      write: (message: unknown) => stream.write(method.responseSerialize(message)),
      end: () => void stream.end(),
    });
    handler(messages);
    stream.on("data", (bytes: Buffer) => {
      try {
        messages.emit("data", method.requestDeserialize(bytes));
      } catch (error) {
        stream.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    stream.on("end", () => messages.emit("end"));
  };
}
