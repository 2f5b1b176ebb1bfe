/** One JSON-RPC message with its line feed: 4 MiB. */
const maxLineBytes = 4 * 1024 * 1024;

const lineFeed = 0x0a;

/**
 * Cuts a byte stream into lines (MCP stdio transport: one message per line, delimited by LF).
 * A line is handed over with its LF, as a slice of the chunk where it arrived whole. A line over the cap is an end:
 * `push` returns false, and what it was is not kept.
 */
export class LineSplitter {
  readonly #onLine: (line: Buffer) => void;
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
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
    if (this.#parts.length === 0) return tail;
    const line = Buffer.concat([...this.#parts, tail]);
    this.#parts = [];
    this.#heldBytes = 0;
    return line;
  }

  #hold(rest: Buffer): boolean {
    if (rest.length === 0) return true;
    this.#heldBytes += rest.length;
    if (this.#heldBytes > this.#maxBytes) {
      this.#parts = [];
      return false;
    }
    this.#parts.push(rest);
    return true;
  }
}
