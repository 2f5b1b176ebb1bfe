import type { Refusal, StreamAccept } from "@sallyport/proto/tunnel";
import type { TunnelStream } from "./tunnel-stream.ts";

/** The answer to an OPEN. */
export type OpenResult =
  | { readonly kind: "accepted"; readonly stream: TunnelStream; readonly accept: StreamAccept }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** The tunnel's entry for an OPEN that the peer has not answered. */
export class Opening {
  readonly kind = "opening";
  readonly streamId: number;
  readonly result: Promise<OpenResult>;
  readonly resolve: (result: OpenResult) => void;
  readonly #reject: (error: unknown) => void;

  constructor(streamId: number) {
    this.streamId = streamId;
    const result = Promise.withResolvers<OpenResult>();
    this.result = result.promise;
    this.resolve = result.resolve;
    this.#reject = result.reject;
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

/** A refusal that this side comes to by itself, without a decision of policy. */
export function localRefusal(code: string, message: string): Refusal {
  return { code, message, decisionId: "", ruleIds: [], sliceVersion: 0 };
}
