import type { RouterLimits } from "../limits.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";

/** Identities beyond which the rates of those that are at rest are forgotten. */
const sweepAbove = 1_024;

/** How fast an identity opens streams, over all of its tunnels: another tunnel, or a new one, is no way around. */
export class OpenRates {
  readonly #limits: Pick<RouterLimits, "opensPerSecondPerIdentity" | "openBurstPerIdentity">;
  readonly #now: (() => number) | undefined;
  readonly #buckets = new Map<string, TokenBucket>();
  #sweepAt = sweepAbove;

  constructor(limits: Pick<RouterLimits, "opensPerSecondPerIdentity" | "openBurstPerIdentity">, now?: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** @param spiffeId of the proven peer */
  take(spiffeId: string): boolean {
    return (this.#buckets.get(spiffeId) ?? this.#create(spiffeId)).take();
  }

  #create(spiffeId: string): TokenBucket {
    if (this.#buckets.size >= this.#sweepAt) this.#sweep();
    const { opensPerSecondPerIdentity: perSecond, openBurstPerIdentity: burst } = this.#limits;
    const bucket = new TokenBucket({ perSecond, burst, ...(this.#now === undefined ? {} : { now: this.#now }) });
    this.#buckets.set(spiffeId, bucket);
    return bucket;
  }

  /** A full bucket is as good as none. The next look comes when there are twice as many, so that it costs little for each. */
  #sweep(): void {
    for (const [spiffeId, bucket] of this.#buckets) if (bucket.full) this.#buckets.delete(spiffeId);
    this.#sweepAt = Math.max(sweepAbove, this.#buckets.size * 2);
  }
}
