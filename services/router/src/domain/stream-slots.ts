import { StreamIds } from "@sallyport/tunnel";
import type { Circuit } from "./circuit.ts";
import type { OfferedSlot, SplicedSlot, StreamSlot } from "./tunnel-port.ts";

/**
 * Stream ids of one tunnel or link and what they stand for. An id without a slot is of a stream that is over, or was never opened: `requireUsed`
 * tells them apart.
 */
export class StreamSlots {
  readonly #slots = new Map<number, StreamSlot>();
  readonly #ids: StreamIds;
  #own = 0;

  constructor(side: "router" | "workload") {
    this.#ids = new StreamIds(side);
  }

  /** Streams of both sides. */
  get size(): number {
    return this.#slots.size;
  }

  /** Streams that this end opened. */
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

  /** The peer's OPEN. Throws FrameError STREAM_ID_INVALID. */
  usePeer(streamId: number): void {
    this.#ids.usePeer(streamId);
  }

  /** A stream of this end's; null when all its ids are used up. */
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

  circuits(): readonly Circuit[] {
    return [...this.#slots.values()].flatMap((slot) => (slot.kind === "spliced" ? [slot.circuit] : []));
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
