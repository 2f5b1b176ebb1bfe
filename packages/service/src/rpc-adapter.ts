/**
 * The seam between gRPC's callback handlers, which are untyped, and ours. The casts of this package are here and nowhere else:
 * a generated definition ties each method's request and response to the handler of the same name, which the compiler checks in
 * `Implementation<S>`, but not once methods are walked by name.
 */
import { once } from "node:events";
import {
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Caller } from "./caller-rule.ts";
import { RpcError } from "./rpc-error.ts";
import type { Implementation, StreamHandler, UnaryHandler } from "./rpc-handler.ts";
import type { Methods } from "./rpc-method.ts";
import { statusOf } from "./rpc-status.ts";

type AnyUnaryCall = ServerUnaryCall<unknown, unknown>;
type AnyStreamCall = ServerWritableStream<unknown, unknown>;

/** Lets a call in, or throws the refusal. */
export type Admit = (call: Pick<AnyUnaryCall, "getAuthContext" | "getPath">, method: string) => Caller;
/** Told of every failure before the caller is. */
export type OnFailure = (method: string, error: unknown) => void;

export interface AdapterOptions {
  readonly admit: Admit;
  readonly onFailure: OnFailure;
  /** How long the caller of a stream may take none of its messages. */
  readonly stalledReaderMs: number;
}

export function adaptImplementation<S extends Methods<S>>(
  service: S,
  implementation: Implementation<S>,
  options: AdapterOptions,
): { readonly definition: ServiceDefinition; readonly handlers: UntypedServiceImplementation } {
  const handlers: UntypedServiceImplementation = {};
  for (const name of Object.keys(service) as (keyof S & string)[]) {
    const handler: unknown = implementation[name];
    handlers[name] = service[name].responseStream
      ? adaptStream(name, handler as StreamHandler<unknown, unknown>, options)
      : adaptUnary(name, handler as UnaryHandler<unknown, unknown>, options);
  }
  return { definition: service as unknown as ServiceDefinition, handlers };
}

/** Puts `admit` before each handler of a third party's service (health, reflection). */
export function guardHandlers(handlers: UntypedServiceImplementation, admit: Admit): UntypedServiceImplementation {
  const guard =
    (name: string, handler: UntypedHandleCall) =>
    (call: AnyUnaryCall & AnyStreamCall, callback?: sendUnaryData<unknown>): void => {
      try {
        admit(call, name);
      } catch (error) {
        if (callback === undefined) call.emit("error", statusOf(error));
        else callback(statusOf(error));
        return;
      }
      (handler as (call: unknown, callback: unknown) => void)(call, callback);
    };
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [name, guard(name, handler) as UntypedHandleCall]),
  );
}

function adaptUnary(
  name: string,
  handler: UnaryHandler<unknown, unknown>,
  { admit, onFailure }: AdapterOptions,
): UntypedHandleCall {
  const handle = async (call: AnyUnaryCall): Promise<unknown> => {
    const caller = admit(call, name);
    return await handler(call.request, { caller, signal: cancelSignal(call) });
  };
  return ((call: AnyUnaryCall, callback: sendUnaryData<unknown>) => {
    handle(call).then(
      (response) => callback(null, response),
      (error: unknown) => {
        onFailure(name, error);
        callback(statusOf(error));
      },
    );
  }) as UntypedHandleCall;
}

function adaptStream(
  name: string,
  handler: StreamHandler<unknown, unknown>,
  { admit, onFailure, stalledReaderMs }: AdapterOptions,
): UntypedHandleCall {
  const handle = async (call: AnyStreamCall): Promise<void> => {
    const caller = admit(call, name);
    const signal = cancelSignal(call);
    for await (const message of handler(call.request, { caller, signal })) {
      if (signal.aborted) return;
      if (!call.write(message)) await drained(call, signal, stalledReaderMs);
    }
  };
  return ((call: AnyStreamCall) => {
    handle(call).then(
      () => call.end(),
      (error: unknown) => {
        if (call.cancelled) return;
        onFailure(name, error);
        call.emit("error", statusOf(error));
      },
    );
  }) as UntypedHandleCall;
}

/** A caller that goes on without reading would hold its handler, and what that holds, for as long as the connection lives. */
async function drained(call: AnyStreamCall, signal: AbortSignal, stalledReaderMs: number): Promise<void> {
  const stalled = AbortSignal.timeout(stalledReaderMs);
  try {
    await once(call, "drain", { signal: AbortSignal.any([signal, stalled]) });
  } catch (error) {
    if (signal.aborted || !stalled.aborted) throw error;
    throw new RpcError({
      code: "READER_STALLED",
      status: status.RESOURCE_EXHAUSTED,
      message: `The caller took no message for ${stalledReaderMs} ms.`,
      remedy: "Call again, and read what comes.",
    });
  }
}

function cancelSignal(call: AnyUnaryCall | AnyStreamCall): AbortSignal {
  const controller = new AbortController();
  call.on("cancelled", () => controller.abort(new Error("the caller went away")));
  return controller.signal;
}
