import { FrameError, MAX_STREAM_ID } from "@sallyport/frame";

/** Which ids were used by which side of a tunnel: odd ones by the workload, even ones by the router, each side's only growing (spec.md, section 4). */
export class StreamIds {
  readonly #localParity: 0 | 1;
  #lastLocal: number;
  #lastPeer: number;

  constructor(side: "workload" | "router") {
    this.#localParity = side === "workload" ? 1 : 0;
    this.#lastLocal = side === "workload" ? -1 : 0;
    this.#lastPeer = 0;
  }

  isLocal(streamId: number): boolean {
    return streamId % 2 === this.#localParity;
  }

  /** An id for a stream of this side; null once there is none. */
  next(): number | null {
    if (this.#lastLocal + 2 > MAX_STREAM_ID) return null;
    this.#lastLocal += 2;
    return this.#lastLocal;
  }

  /** The peer's OPEN. Throws STREAM_ID_INVALID for an id that is this side's, or not above all before it. */
  usePeer(streamId: number): void {
    if (this.isLocal(streamId))
      throw new FrameError("STREAM_ID_INVALID", `OPEN with id ${streamId}, which is this side's to use.`);
    if (streamId <= this.#lastPeer)
      throw new FrameError("STREAM_ID_INVALID", `OPEN with id ${streamId} after ${this.#lastPeer}: ids only grow.`);
    this.#lastPeer = streamId;
  }

  /** Throws STREAM_ID_INVALID for an id that was never opened. */
  requireUsed(streamId: number): void {
    const last = this.isLocal(streamId) ? this.#lastLocal : this.#lastPeer;
    if (streamId > last)
      throw new FrameError("STREAM_ID_INVALID", `A frame for stream ${streamId}, which was never opened.`);
  }
}
