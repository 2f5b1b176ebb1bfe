import type { HeadWatch } from "./head-watch.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

/** One of a workload's tunnels, as this end sees it. */
export interface TunnelStatus {
  /** The router's SPIFFE ID, from its certificate. */
  readonly router: string;
  /** `host:port`. */
  readonly address: string;
  /** Null before the first PING was answered. */
  readonly roundTripMs: number | null;
  /** Of the last policy head that this router passed on; 0 before the first. */
  readonly headSequence: number;
  /** How much older that head is than the newest that any router passed on. */
  readonly headLagMs: number;
  /** Its policy is so old that it counts as withheld; dials go elsewhere while they can. */
  readonly lags: boolean;
}

export function tunnelStatus(open: OpenTunnel, heads: HeadWatch): TunnelStatus {
  const { router, address, tunnel } = open;
  const { sequence, lagMs } = heads.headOf(open);
  return {
    router: router.identity.id.uri,
    address,
    roundTripMs: tunnel.roundTripMs,
    headSequence: sequence,
    headLagMs: lagMs,
    lags: heads.lags(open),
  };
}

/** A tunnel must be so much faster to be used in place of one that was there before: round trips of one path differ too. */
const clearlyFaster = 0.75;

/** Which of two tunnels dials prefer: the one whose router is not behind with policy, then the clearly faster one, then neither. */
export function compareTunnels(one: OpenTunnel, other: OpenTunnel, heads: HeadWatch): number {
  const lag = Number(heads.lags(one)) - Number(heads.lags(other));
  if (lag !== 0) return lag;
  const [a, b] = [one.tunnel.roundTripMs, other.tunnel.roundTripMs];
  if (a === null || b === null) return 0;
  if (a < b * clearlyFaster) return -1;
  return b < a * clearlyFaster ? 1 : 0;
}
