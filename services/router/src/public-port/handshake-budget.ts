/**
 * A share of the event loop for handshakes. One costs about 1.4 ms of CPU, so that a flood of them would starve the frames of everyone who is already
 * in. Connections wait here, at most `maxWaiting` of them and never beyond their own handshake deadline.
 *
 *   1. Turns go round the sources that wait: a source with one connection waits for one turn of each other source, not for their queues.
 *   2. A full room is shared: who comes from a source with less in it than the largest takes the place of that one's last.
 */
import { TokenBucket } from "./token-bucket.ts";

type Settle = (mayStart: boolean) => void;

export class HandshakeBudget {
  readonly #bucket: TokenBucket;
  readonly #maxWaiting: number;
  /** By source, the next to be served first. No queue is empty. */
  readonly #queues = new Map<string, Set<Settle>>();
  #waiting = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: { readonly perSecond: number; readonly burst: number; readonly maxWaiting: number }) {
    this.#bucket = new TokenBucket(options);
    this.#maxWaiting = options.maxWaiting;
  }

  /** False when the budget is exhausted, or `signal` aborts first: the connection is then closed. */
  async take(source: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#waiting === 0 && this.#bucket.take()) return true;
    if (this.#waiting >= this.#maxWaiting && !this.#makeRoom(source)) return false;
    const turn = Promise.withResolvers<boolean>();
    this.#enter(source, turn.resolve);
    const giveUp = (): void => this.#leave(source, turn.resolve, false);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await turn.promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #enter(source: string, settle: Settle): void {
    const queue = this.#queues.get(source);
    if (queue === undefined) this.#queues.set(source, new Set([settle]));
    else queue.add(settle);
    this.#waiting += 1;
    this.#schedule();
  }

  #leave(source: string, settle: Settle, mayStart: boolean): void {
    const queue = this.#queues.get(source);
    if (queue?.delete(settle) !== true) return;
    if (queue.size === 0) this.#queues.delete(source);
    this.#waiting -= 1;
    settle(mayStart);
  }

  #serve(): void {
    this.#timer = null;
    for (const [source, queue] of this.#queues) {
      const [first] = queue;
      if (first === undefined || !this.#bucket.take()) break;
      this.#leave(source, first, true);
      if (this.#queues.delete(source)) this.#queues.set(source, queue); // 1
    }
    if (this.#waiting > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#serve(), this.#bucket.waitMs()).unref();
  }

  /** 2 */
  #makeRoom(source: string): boolean {
    let largest: { readonly source: string; readonly queue: Set<Settle> } | null = null;
    for (const [name, queue] of this.#queues) {
      if (queue.size > (largest?.queue.size ?? 0)) largest = { source: name, queue };
    }
    const own = this.#queues.get(source)?.size ?? 0;
    if (largest === null || largest.queue.size <= own + 1) return false;
    const last = [...largest.queue].at(-1);
    if (last === undefined) return false;
    this.#leave(largest.source, last, false);
    return true;
  }
}
