import { DEFAULT_FRAME_RATES, type FrameRates } from "./frame-budget.ts";
import type { RelayCounters } from "./relay-counters.ts";

export interface FrameChannelOptions {
  /** This side sends at least one frame in that time. Default 2,000. */
  readonly pingIntervalMs?: number;
  /** A peer silent for so long is dead; noticed up to half a `pingIntervalMs` earlier, never later. Default 5,000. */
  readonly deadAfterMs?: number;
  /** A carrier that takes no byte for so long while some wait is dead, though its other direction may live. Default 15,000. */
  readonly stalledAfterMs?: number;
  /** Above this the channel ends with `overflowed`. An owner that heeds `congested` never gets there. Default 16 MiB. */
  readonly maxQueuedBytes?: number;
  /** From here on the channel is `congested`. Default 256 KiB. */
  readonly highWaterBytes?: number;
  /** What the carrier is given at once, beyond one entry; the rest stays where it can be dropped. Default 128 KiB. */
  readonly batchBytes?: number;
  /** For queued frames to leave after `close`. Default 2,000. */
  readonly closeGraceMs?: number;
  /** How often the peer may send the frames that cost more than their bytes. Default DEFAULT_FRAME_RATES. */
  readonly rates?: FrameRates;
  /**
   * For an owner that passes frames on, a router: what that takes is counted here, and a chunk whose frames were all forwarded, each once, is freed when
   * they have left. Default null: chunks are the handler's for as long as it likes.
   */
  readonly relay?: RelayCounters | null;
}

export type ResolvedFrameChannelOptions = Required<FrameChannelOptions>;

export function resolveFrameChannelOptions(options: FrameChannelOptions): ResolvedFrameChannelOptions {
  return {
    pingIntervalMs: 2000,
    deadAfterMs: 5000,
    stalledAfterMs: 15_000,
    maxQueuedBytes: 16_777_216,
    highWaterBytes: 262_144,
    batchBytes: 131_072,
    closeGraceMs: 2000,
    rates: DEFAULT_FRAME_RATES,
    relay: null,
    ...options,
  };
}
