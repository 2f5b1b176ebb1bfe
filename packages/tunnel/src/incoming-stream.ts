import type { Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { TunnelError } from "./tunnel-error.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

/** A stream that the peer asks for. It counts against `maxStreams` until it is answered and over: answer every one. */
export interface IncomingStream {
  readonly open: StreamOpen;
  /** Aborted when the peer gave up before an answer, or the tunnel ended. */
  readonly signal: AbortSignal;
  /** Throws TunnelError STREAM_ANSWERED when already answered, or aborted; PAYLOAD_TOO_LARGE, after which it may be answered otherwise. */
  accept(accept: StreamAccept): TunnelStream;
  /** Does nothing when already answered, or aborted. */
  refuse(refusal: Refusal): void;
}

/** What an offer needs of its tunnel. */
export interface OfferPort {
  acceptOffer(streamId: number, accept: StreamAccept): TunnelStream;
  refuseOffer(streamId: number, refusal: Refusal): void;
}

/** The tunnel's entry for an unanswered incoming stream. */
export class Offer implements IncomingStream {
  readonly kind = "offered";
  readonly open: StreamOpen;
  readonly #streamId: number;
  readonly #port: OfferPort;
  readonly #withdrawal = new AbortController();
  #answered = false;

  constructor(streamId: number, open: StreamOpen, port: OfferPort) {
    this.#streamId = streamId;
    this.open = open;
    this.#port = port;
  }

  get signal(): AbortSignal {
    return this.#withdrawal.signal;
  }

  fail(reason: unknown): void {
    this.#withdrawal.abort(reason);
  }

  accept(accept: StreamAccept): TunnelStream {
    if (this.#answered || this.signal.aborted) {
      throw new TunnelError("STREAM_ANSWERED", "The stream was answered already, or its dialer gave up.", {
        cause: this.signal.reason,
      });
    }
    const stream = this.#port.acceptOffer(this.#streamId, accept);
    this.#answered = true;
    return stream;
  }

  refuse(refusal: Refusal): void {
    if (this.#answered || this.signal.aborted) return;
    this.#port.refuseOffer(this.#streamId, refusal);
    this.#answered = true;
  }
}
