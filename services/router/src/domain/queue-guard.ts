/** A tunnel with bytes that wait for its workload. */
export interface Queueing {
  readonly queuedBytes: number;
  /** Ends it: it reads too slowly for what it asked for. */
  overflow(): void;
}

const lookEveryMs = 250;

/**
 * The memory of all queues together. Each tunnel has a bound of its own, but many slow ones could still take everything: whoever waits with most is
 * ended first, since that is who asked for the most and took the least.
 */
export class QueueGuard implements Disposable {
  readonly #queues: () => Iterable<Queueing>;
  readonly #maxBytes: number;
  readonly #timer: NodeJS.Timeout;

  constructor(queues: () => Iterable<Queueing>, maxBytes: number) {
    this.#queues = queues;
    this.#maxBytes = maxBytes;
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  look(): void {
    const queues = [...this.#queues()].filter(({ queuedBytes }) => queuedBytes > 0);
    let total = queues.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
    if (total <= this.#maxBytes) return;
    for (const queue of queues.toSorted((a, b) => b.queuedBytes - a.queuedBytes)) {
      if (total <= this.#maxBytes) return;
      total -= queue.queuedBytes;
      queue.overflow();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
