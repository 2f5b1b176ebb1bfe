/** Four full frames. */
export const RUN_BYTES = 65_536;
/** Below it Node's own pool and the collector do better. */
const MIN_REUSED_BYTES = 16_384;
/** 2 MiB for the whole process. */
const MAX_FREE = 32;

/**
 * Memory for runs of DATA, used again once the carrier has copied it. A fresh buffer per run cost a quarter of all CPU time of a tunnel's end,
 * in page faults and collection.
 */
export class RunBuffers {
  readonly #free: Buffer[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** @param bytes at most RUN_BYTES. */
  take(bytes: number): Buffer {
    if (bytes < MIN_REUSED_BYTES) return Buffer.allocUnsafe(bytes);
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(RUN_BYTES);
    this.#lent.add(memory.buffer);
    return memory.subarray(0, bytes);
  }

  /** Nobody reads `frames` any more. Does nothing for memory that is not from `take`, or came back already. */
  giveBack(frames: Buffer): void {
    if (!this.#lent.delete(frames.buffer)) return;
    if (this.#free.length < MAX_FREE) this.#free.push(Buffer.from(frames.buffer));
  }
}
