/** Payloads at least this large are worth a buffer of their own. */
const SMALL_PAYLOAD_BYTES = 1024;
const BLOCK_BYTES = 16_384;

/**
 * Gathers small payloads into blocks. A peer may spend its whole credit in DATA of one byte each: as buffers of their own these would cost a reader
 * that is behind a hundred times their bytes.
 */
export class SmallPayloads {
  #block: Buffer | null = null;
  #usedBytes = 0;

  get bytes(): number {
    return this.#usedBytes;
  }

  /** False when the payload is not small, or there is no more room: `take` first. */
  add(chunk: Buffer, start: number, end: number): boolean {
    const payloadBytes = end - start;
    if (payloadBytes >= SMALL_PAYLOAD_BYTES || this.#usedBytes + payloadBytes > BLOCK_BYTES) return false;
    this.#block ??= Buffer.allocUnsafe(BLOCK_BYTES);
    this.#usedBytes += chunk.copy(this.#block, this.#usedBytes, start, end);
    return true;
  }

  /** What was gathered, which is then the caller's; null for nothing. */
  take(): Buffer | null {
    const block = this.#block;
    if (block === null) return null;
    const gathered = block.subarray(0, this.#usedBytes);
    this.#block = null;
    this.#usedBytes = 0;
    return gathered;
  }
}
