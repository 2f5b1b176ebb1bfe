/** Things that wait for one reader: at most `limit` of them, and what is beyond that ends the waiting. */
export class WatchQueue<T> {
  readonly #limit: number;
  #items: T[] = [];
  #overflowed = false;
  #wake: () => void = () => undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** After an overflow nothing waits any more, so that a reader which never comes back holds nothing. */
  push(item: T): void {
    if (this.#overflowed) return;
    this.#items.push(item);
    if (this.#items.length > this.#limit) {
      this.#overflowed = true;
      this.#items = [];
    }
    this.#wake();
  }

  /** What waits, at least one thing; `overflow` once it was too much; null when `signal` aborted. */
  async take(signal: AbortSignal): Promise<readonly T[] | "overflow" | null> {
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (this.#items.length === 0 && !this.#overflowed && !signal.aborted) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
    if (signal.aborted) return null;
    if (this.#overflowed) return "overflow";
    const items = this.#items;
    this.#items = [];
    return items;
  }
}
