import { Client, type ClientReadableStream, type ServiceError as GrpcError } from "@grpc/grpc-js";
import type { Identity, SvidSource, TrustBundle } from "@sallyport/identity";
import { MtlsChannelCredentials } from "./grpc-credentials.ts";
import type { Method, Methods, RequestOf, ResponseOf } from "./rpc-method.ts";
import { rpcErrorOf } from "./rpc-status.ts";

export interface GrpcChannelOptions {
  /** `host:port`. */
  readonly address: string;
  readonly identity: SvidSource;
  /** Default: `identity.bundle()`. */
  readonly trust?: () => TrustBundle;
  /** Whether the server is the one that is meant. Names and addresses prove nothing here. */
  readonly expect: (identity: Identity) => boolean;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Default 10,000 for unary calls, none for streams. */
  readonly timeoutMs?: number;
}

/** Connections to one server, made when they are needed, made again when they broke or the certificate was renewed. */
export interface GrpcChannel extends Disposable {
  readonly client: Client;
}

/** Back-off while the server is away: its restart takes about a second, and nobody should wait much longer than that. */
const RECONNECT = { "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 2_000 };

export function grpcChannel(options: GrpcChannelOptions): GrpcChannel {
  const { address, identity, expect, trust = () => identity.bundle() } = options;
  const client = new Client(address, new MtlsChannelCredentials({ identity, trust, expect }), {
    ...RECONNECT,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
  });
  return { client, [Symbol.dispose]: () => client.close() };
}

/** @throws RpcError */
export function callUnary<Request, Response>(
  { client }: GrpcChannel,
  method: Method<Request, Response>,
  request: Request,
  { signal, timeoutMs = 10_000 }: CallOptions = {},
): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const call = client.makeUnaryRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    { deadline: Date.now() + timeoutMs },
    (error: GrpcError | null, response?: Response) => {
      if (error !== null) reject(rpcErrorOf(error));
      else if (response === undefined) reject(new TypeError(`${method.path} gave no answer`));
      else resolve(response);
    },
  );
  const stopListening = cancelOn(signal, () => call.cancel());
  return promise.finally(stopListening);
}

/** The answer's messages, until the server or `signal` ends it. @throws RpcError */
export async function* callStream<Request, Response>(
  { client }: GrpcChannel,
  method: Method<Request, Response>,
  request: Request,
  { signal, timeoutMs }: CallOptions = {},
): AsyncGenerator<Response, void, void> {
  const call: ClientReadableStream<Response> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
  );
  const stopListening = cancelOn(signal, () => call.cancel());
  try {
    for await (const message of call as AsyncIterable<Response>) yield message;
  } catch (error) {
    if (signal?.aborted) return;
    throw isGrpcError(error) ? rpcErrorOf(error) : error;
  } finally {
    stopListening();
    call.cancel();
  }
}

/** A function per method of a generated service definition. */
export type ServiceClient<S> = {
  readonly [Name in keyof S]: S[Name] extends { readonly responseStream: true }
    ? (request: RequestOf<S[Name]>, options?: CallOptions) => AsyncIterable<ResponseOf<S[Name]>>
    : (request: RequestOf<S[Name]>, options?: CallOptions) => Promise<ResponseOf<S[Name]>>;
};

/** All methods of `service` over `channel`: `serviceClient(channel, PolicyServiceService).getHead({})`. */
export function serviceClient<S extends Methods<S>>(channel: GrpcChannel, service: S): ServiceClient<S> {
  const entries = Object.entries<Method<unknown, unknown>>(service as Record<string, Method<unknown, unknown>>).map(
    ([name, method]) => {
      const call = method.responseStream ? callStream : callUnary;
      return [name, (request: unknown, options?: CallOptions) => call(channel, method, request, options)] as const;
    },
  );
  // The mapped type is what the loop above builds, which the compiler cannot follow by name.
  return Object.fromEntries(entries) as unknown as ServiceClient<S>;
}

function cancelOn(signal: AbortSignal | undefined, cancel: () => void): () => void {
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  return () => signal?.removeEventListener("abort", cancel);
}

function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}
