import type { Peer } from "@sallyport/mtls";
import { RpcError } from "./rpc-error.ts";
import { status } from "@grpc/grpc-js";
import type { Caller } from "./caller-rule.ts";
import type { RequestOf, ResponseOf } from "./rpc-method.ts";

/** What a handler may know of its call. */
export interface Call {
  readonly caller: Caller;
  /** Aborted when the caller goes away, cancels, or its deadline passes. */
  readonly signal: AbortSignal;
}

export type UnaryHandler<Request, Response> = (request: Request, call: Call) => Promise<Response>;
/** Messages as the caller takes them: the next one is asked for when the last one has left. */
export type StreamHandler<Request, Response> = (request: Request, call: Call) => AsyncIterable<Response>;

/** A handler for every method of a generated service definition. */
export type Implementation<S> = {
  readonly [Name in keyof S]: S[Name] extends { readonly responseStream: true }
    ? StreamHandler<RequestOf<S[Name]>, ResponseOf<S[Name]>>
    : UnaryHandler<RequestOf<S[Name]>, ResponseOf<S[Name]>>;
};

/** The proven peer of a call.
 * @throws RpcError UNAUTHENTICATED on a listener that asks for no client certificate. */
export function peerOf(call: Call): Peer {
  if (call.caller.kind !== "anonymous") return call.caller.peer;
  throw new RpcError({
    code: "UNAUTHENTICATED",
    status: status.UNAUTHENTICATED,
    message: "This call carries no identity.",
  });
}
