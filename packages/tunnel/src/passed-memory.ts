/**
 * Memory of chunks whose bytes were all passed on, freed as soon as the last of them has left.
 *
 * A socket makes an ArrayBuffer for each TLS record. Left to the collector, they cost a router more CPU time than TLS does: V8 counts them as external
 * memory and answers with one full collection after another. Freed at once, the next record gets the same memory, still in the cache.
 *
 *   1. Memory is freed by detaching it, and never used again under the same name: whoever still holds a view of it has an empty one, never bytes of
 *      another tunnel. (That is why chunks are not read into buffers of our own that go round: it saves a little more, and one release too early
 *      would give a tunnel's bytes to another.)
 *   2. Every byte must have been accounted for, as passed on or as copied out. A chunk with anything else in it, a control message or bytes of a
 *      stream that ends here, is the collector's. So is one of which bytes were dropped: forgetting to account costs memory for a while, nothing more.
 */
export class PassedMemory {
  readonly #bytesLeft = new WeakMap<ArrayBufferLike, number>();

  /** A chunk that its reader has to itself. Memory that it shares with others is never freed here. */
  arrived(chunk: Buffer): void {
    if (chunk.length === chunk.buffer.byteLength) this.#bytesLeft.set(chunk.buffer, chunk.length);
  }

  /** So many bytes of that memory are needed no more. Does nothing for memory that did not arrive. */
  left(memory: ArrayBufferLike, bytes: number): void {
    const before = this.#bytesLeft.get(memory);
    if (before === undefined) return;
    if (before > bytes) {
      this.#bytesLeft.set(memory, before - bytes);
      return;
    }
    this.#bytesLeft.delete(memory);
    if (memory instanceof ArrayBuffer) memory.transfer(0); // 1
  }
}

/** Of the process: what arrives by one channel leaves by another. */
export const passedMemory: PassedMemory = new PassedMemory();
