import { StreamIds } from "@sallyport/tunnel";
import type { OfferedSlot, SplicedSlot, StreamSlot } from "./tunnel-port.ts";

/**
 * Stream ids of one tunnel and what they stand for. Odd ids are the workload's, even ids the router's; ids only grow. An id without a slot is of a
 * stream that is over, or was never opened: `requireUsed` tells them apart.
 */
export class StreamSlots {
  readonly #slots = new Map<number, StreamSlot>();
  readonly #ids = new StreamIds("router");
  #own = 0;

  /** Streams of both sides. */
  get size(): number {
    return this.#slots.size;
  }

  /** Streams that the router opened. */
  get own(): number {
    return this.#own;
  }

  get(streamId: number): StreamSlot | undefined {
    return this.#slots.get(streamId);
  }

  /** Throws FrameError STREAM_ID_INVALID for an id that was never opened. */
  requireUsed(streamId: number): void {
    this.#ids.requireUsed(streamId);
  }

  /** The workload's OPEN. Throws FrameError STREAM_ID_INVALID. */
  usePeer(streamId: number): void {
    this.#ids.usePeer(streamId);
  }

  /** A stream of the router's; null when all its ids are used up. */
  offer(slot: OfferedSlot): number | null {
    const streamId = this.#ids.next();
    if (streamId === null) return null;
    this.#own += 1;
    this.#slots.set(streamId, slot);
    return streamId;
  }

  set(streamId: number, slot: StreamSlot): void {
    this.#slots.set(streamId, slot);
  }

  delete(streamId: number): void {
    if (this.#slots.delete(streamId) && this.#ids.isLocal(streamId)) this.#own -= 1;
  }

  /** The tunnel is over: every stream ends, each in its own way. */
  endAll(endSpliced: (slot: SplicedSlot) => void, reason: Error): void {
    for (const slot of this.#slots.values()) {
      switch (slot.kind) {
        case "opening":
          slot.cancelled();
          continue;
        case "offered":
          slot.gone();
          continue;
        case "local":
          slot.stream.fail(reason);
          continue;
        case "spliced":
          endSpliced(slot);
      }
    }
    this.#slots.clear();
    this.#own = 0;
  }
}
