import { FrameError, FrameType } from "@sallyport/frame";

/** How often a peer may send one type of frame: `perSecond` on average, `burst` at once. */
export interface FrameRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Rates for the frames that cost the receiver more than their bytes. DATA and WINDOW are bounded by credit and by TCP, the rest by the streams open. */
export interface FrameRates {
  readonly open: FrameRate;
  readonly control: FrameRate;
  readonly ping: FrameRate;
  readonly goaway: FrameRate;
}

export const DEFAULT_FRAME_RATES: FrameRates = {
  // Also what bounds OPEN followed by RESET, over and over (as HTTP/2's CVE-2023-44487).
  open: { perSecond: 1000, burst: 2000 },
  // A connector that hosts hundreds of services announces them all at once.
  control: { perSecond: 100, burst: 2000 },
  ping: { perSecond: 10, burst: 50 },
  goaway: { perSecond: 1, burst: 4 },
};

/** A token bucket per type of frame. Beyond it the peer is cut off: RATE_EXCEEDED. */
export class FrameBudget {
  readonly #rates = new Map<number, FrameRate>();
  readonly #tokens = new Float64Array(16).fill(Number.POSITIVE_INFINITY);
  #refilledAt: number;

  constructor(rates: FrameRates, now: number) {
    this.#refilledAt = now;
    for (const [type, rate] of [
      [FrameType.open, rates.open],
      [FrameType.control, rates.control],
      [FrameType.ping, rates.ping],
      [FrameType.goaway, rates.goaway],
    ] as const) {
      this.#rates.set(type, rate);
      this.#tokens[type] = rate.burst;
    }
  }

  /** @param now milliseconds of a monotonic clock; called once per chunk, not per frame. */
  refill(now: number): void {
    const elapsedMs = now - this.#refilledAt;
    // Sums of tiny refills lose nothing, but cost; a tenth of a second is fine enough for every rate here.
    if (elapsedMs < 100) return;
    this.#refilledAt = now;
    for (const [type, rate] of this.#rates) {
      this.#tokens[type] = Math.min(rate.burst, (this.#tokens[type] ?? 0) + (elapsedMs / 1000) * rate.perSecond);
    }
  }

  take(type: number): void {
    const left = (this.#tokens[type] ?? 0) - 1;
    if (left < 0)
      throw new FrameError("RATE_EXCEEDED", `Frames of type ${type} come faster than this side takes them.`);
    this.#tokens[type] = left;
  }
}
