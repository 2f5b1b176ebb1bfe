import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 20;
const periodMs = 1_000;

/** How late this process's event loop runs, over the last second. */
export class LoopDelay implements Disposable {
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #timer: NodeJS.Timeout;
  #meanMs = 0;
  #p99Ms = 0;

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => this.#look(), periodMs).unref();
  }

  /** Of all turns: a single pause barely moves it, a loop that cannot keep up does. */
  get meanMs(): number {
    return this.#meanMs;
  }

  get p99Ms(): number {
    return this.#p99Ms;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  /** The histogram counts nanoseconds from one sample to the next, the resolution among them. */
  #look(): void {
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
    this.#meanMs = this.#histogram.count === 0 ? 0 : late(this.#histogram.mean);
    this.#p99Ms = late(this.#histogram.percentile(99));
    this.#histogram.reset();
  }
}
