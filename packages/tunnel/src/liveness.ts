/**
 * Who is still there.
 *
 * L1. Each side sends at least one frame per `pingIntervalMs`: a PING when there was nothing else.
 * L2. A peer of which nothing was heard for `deadAfterMs`, rounded down to a tick, is dead. Any byte counts, so that a PING stuck behind data on a
 *     slow link does not kill a peer that is plainly sending.
 * L3. A tick that comes late means that this process slept, not the peer: the peer gets its time anew.
 */
export interface LivenessOptions {
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly onPingDue: () => void;
  readonly onTick: (now: number) => void;
  readonly onDead: (silentMs: number) => void;
}

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #tickMs: number;
  readonly #timer: NodeJS.Timeout;
  #heardAt: number;
  #tickedAt: number;
  #sentAt: number;

  constructor(options: LivenessOptions, now: number) {
    this.#options = options;
    this.#tickMs = options.pingIntervalMs / 2;
    this.#heardAt = now;
    this.#tickedAt = now;
    this.#sentAt = now;
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  sent(now: number): void {
    this.#sentAt = now;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    if (now - this.#tickedAt > this.#tickMs * 2) this.#heardAt = now; // L3
    this.#tickedAt = now;
    const silentMs = now - this.#heardAt;
    if (silentMs > this.#options.deadAfterMs - this.#tickMs) {
      this.#options.onDead(silentMs); // L2
      return;
    }
    if (now - this.#sentAt >= this.#options.pingIntervalMs - this.#tickMs) this.#options.onPingDue(); // L1
    this.#options.onTick(now);
  }
}
