/** One JSON-RPC message with its line feed: 4 MiB. */
const maxLineBytes = 4 * 1024 * 1024;

const lineFeed = 0x0a;
const noBytes: Buffer = Buffer.alloc(0);

/**
 * Cuts a byte stream into lines (MCP stdio transport: one message per line, delimited by LF).
 * A line is handed over with its LF, as a slice of the chunk where it arrived whole. A line over the cap is an end:
 * `push` returns false, and what it was is not kept.
 */
export class LineSplitter {
  readonly #onLine: (line: Buffer) => void;
  readonly #maxBytes: number;
  /** Begins with the line whose LF did not arrive yet. Grows by doubling: a sender of single bytes costs no object per byte. */
  #held: Buffer = noBytes;
  #heldBytes = 0;

  constructor(onLine: (line: Buffer) => void, maxBytes: number = maxLineBytes) {
    this.#onLine = onLine;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of a line whose LF did not arrive yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  push(chunk: Buffer): boolean {
    let start = 0;
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, start)) {
      const tail = chunk.subarray(start, at + 1);
      start = at + 1;
      if (this.#heldBytes + tail.length > this.#maxBytes) return false;
      this.#onLine(this.#join(tail));
    }
    return this.#hold(chunk.subarray(start));
  }

  #join(tail: Buffer): Buffer {
    if (this.#heldBytes === 0) return tail;
    const line = Buffer.concat([this.#held.subarray(0, this.#heldBytes), tail]);
    this.#held = noBytes;
    this.#heldBytes = 0;
    return line;
  }

  #hold(rest: Buffer): boolean {
    if (rest.length === 0) return true;
    const bytes = this.#heldBytes + rest.length;
    if (bytes > this.#maxBytes) {
      this.#held = noBytes;
      return false;
    }
    if (bytes > this.#held.length) this.#grow(bytes);
    rest.copy(this.#held, this.#heldBytes);
    this.#heldBytes = bytes;
    return true;
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#held.length));
    this.#held.copy(grown, 0, 0, this.#heldBytes);
    this.#held = grown;
  }
}
