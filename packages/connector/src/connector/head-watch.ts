import type { Head } from "@sallyport/proto/policy";
import type { ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

/** The head of policy that a router passed on last. */
export interface RouterHead {
  /** 0 before the first. */
  readonly sequence: number;
  /** How much older it is than the newest that any router passed on. */
  readonly lagMs: number;
}

interface Seen {
  sequence: number;
  timeUnixMs: number;
  lags: boolean;
}

/** Three heads in a row: policy signs one every 10 s. */
const maxLagMs = 30_000;

/**
 * Compares how new the policy is that each router passes on. One alone may withhold a change for as long as a head stays fresh; beside another
 * it is seen, since every head is signed with its time.
 */
export class HeadWatch {
  readonly #log: ConnectorLog;
  readonly #seen = new Map<OpenTunnel, Seen>();
  #newestUnixMs = 0;

  constructor(log: ConnectorLog) {
    this.#log = log;
  }

  /** From now on it owes heads, beginning with the newest that is known. */
  watch(open: OpenTunnel): void {
    this.#seen.set(open, { sequence: 0, timeUnixMs: this.#newestUnixMs, lags: false });
  }

  forget(open: OpenTunnel): void {
    this.#seen.delete(open);
  }

  /** @param head verified */
  take(open: OpenTunnel, { sequence, timeUnixMs }: Pick<Head, "sequence" | "timeUnixMs">): void {
    const seen = this.#seen.get(open);
    if (seen === undefined || sequence < seen.sequence) return;
    // The first head of all is from when the others begin to owe theirs.
    if (this.#newestUnixMs === 0) for (const other of this.#seen.values()) other.timeUnixMs = timeUnixMs;
    seen.sequence = sequence;
    seen.timeUnixMs = timeUnixMs;
    this.#newestUnixMs = Math.max(this.#newestUnixMs, timeUnixMs);
    for (const [one, of] of this.#seen) this.#judge(one, of);
  }

  headOf(open: OpenTunnel): RouterHead {
    const seen = this.#seen.get(open);
    return seen === undefined ? { sequence: 0, lagMs: 0 } : { sequence: seen.sequence, lagMs: this.#lagMsOf(seen) };
  }

  lags(open: OpenTunnel): boolean {
    return this.#seen.get(open)?.lags ?? false;
  }

  #judge({ router, address }: OpenTunnel, seen: Seen): void {
    const lagMs = this.#lagMsOf(seen);
    const lags = lagMs > maxLagMs;
    if (lags === seen.lags) return;
    seen.lags = lags;
    const facts = { router: router.identity.id.uri, address, head: seen.sequence, lagMs };
    if (lags) this.#log.warn(facts, "router withholds policy, or lags behind");
    else this.#log.info(facts, "router passes on current policy again");
  }

  #lagMsOf({ timeUnixMs }: Seen): number {
    return Math.max(0, this.#newestUnixMs - timeUnixMs);
  }
}
