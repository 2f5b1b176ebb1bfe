import type { FrameChannel } from "@sallyport/tunnel";
import type { Leg } from "../splice/leg.ts";

/** Between two looks at the queue for one stream: a look costs time in proportion to the queue, a WINDOW of one byte nothing. */
const lookEveryBytes = 65_536;

/**
 * What may wait for one stream. DATA is sent on credit only, and credit comes from who receives it: so the bytes of a stream that wait here can grow
 * beyond a bound only by a grant, and a grant is where that is looked at. A receiver that grants what it has not read would otherwise fill the queue
 * of its tunnel by a single stream.
 */
export class GrantGuard {
  readonly #outlet: Pick<FrameChannel, "queuedBytes" | "queuedPayloadBytes">;
  readonly #maxBytes: number;
  readonly #unseen = new WeakMap<Leg, number>();

  /** @param outlet of the tunnel from which the grants come, and where what they allow will wait */
  constructor(outlet: Pick<FrameChannel, "queuedBytes" | "queuedPayloadBytes">, maxBytes: number) {
    this.#outlet = outlet;
    this.#maxBytes = maxBytes;
  }

  /** Whether more may wait now for the stream of `leg`, which has just granted `bytes`, than a stream may have. */
  isTooMuch(leg: Leg, bytes: number): boolean {
    const mayCome = leg.peer.credit.availableBytes;
    if (this.#outlet.queuedBytes + mayCome <= this.#maxBytes) return false;
    const unseen = (this.#unseen.get(leg) ?? 0) + bytes;
    this.#unseen.set(leg, unseen < lookEveryBytes ? unseen : 0);
    return unseen >= lookEveryBytes && this.#outlet.queuedPayloadBytes(leg.streamId) + mayCome > this.#maxBytes;
  }
}
