import { setTimeout as delay } from "node:timers/promises";
import { TokenBucket } from "./token-bucket.ts";

/**
 * A share of the event loop for handshakes. One costs about 1.4 ms of CPU, so that a flood of them would starve the frames of everyone who is
 * already in. Connections wait here, at most `maxWaiting` of them and never beyond their own handshake deadline.
 */
export class HandshakeBudget {
  readonly #bucket: TokenBucket;
  readonly #maxWaiting: number;
  #waiting = 0;
  /** Each waiter follows the one before, so that the order of arrival holds. */
  #tail: Promise<void> = Promise.resolve();

  constructor(options: { readonly perSecond: number; readonly burst: number; readonly maxWaiting: number }) {
    this.#bucket = new TokenBucket(options);
    this.#maxWaiting = options.maxWaiting;
  }

  /** False when the budget is exhausted, or `signal` aborts first: the connection is then closed. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (this.#waiting === 0 && this.#bucket.take()) return true;
    if (this.#waiting >= this.#maxWaiting) return false;
    this.#waiting += 1;
    const turn = this.#tail.then(() => this.#await(signal));
    this.#tail = turn.then(() => undefined);
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #await(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (this.#bucket.take()) return true;
      await delay(this.#bucket.waitMs(), undefined, { signal, ref: false }).catch(() => undefined);
    }
    return false;
  }
}
