import { TokenBucket } from "../public-port/token-bucket.ts";

/** Gives everyone in the queue a turn, in order, at most `perSecond` of them. */
export class Turns implements Disposable {
  readonly #bucket: TokenBucket;
  readonly #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(perSecond: number) {
    // A tenth of a second's worth at once: no burst that the circuits would feel.
    this.#bucket = new TokenBucket({ perSecond, burst: Math.max(1, perSecond / 10) });
  }

  next(turn: () => void): void {
    this.#waiting.push(turn);
    if (this.#timer === null) this.#run();
  }

  [Symbol.dispose](): void {
    this.#waiting.length = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = null;
    while (this.#waiting.length > 0 && this.#bucket.take()) this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#run(), this.#bucket.waitMs()).unref();
  }
}
