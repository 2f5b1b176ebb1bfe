/** A token bucket. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #level: number;
  #at: number;
  #refused = 0;

  /** @param options.now milliseconds, monotonic */
  constructor(options: { readonly perSecond: number; readonly burst: number; readonly now?: () => number }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
    this.#now = options.now ?? ((): number => performance.now());
    this.#level = options.burst;
    this.#at = this.#now();
  }

  /** Whether one more may pass. */
  take(): boolean {
    const now = this.#now();
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#level < 1) {
      this.#refused += 1;
      return false;
    }
    this.#level -= 1;
    return true;
  }

  /** How many were refused since this was last asked. */
  drainRefused(): number {
    const refused = this.#refused;
    this.#refused = 0;
    return refused;
  }
}
