/**
 * Whether the hosts on this router's tunnels would serve a dial: asked through the overlay, since that is the way a dial takes.
 *
 *   1. Each host is asked every `probeEveryMs`, give or take a fifth; all together at most `maxProbesPerSecond` times. Beyond that everyone waits for
 *      its turn, and all are asked more rarely.
 *   2. Whoever answers that it is down is down at once. It is up again after two good answers; the first is enough for one of which nothing bad is known.
 *   3. Whoever does not answer within `probeTimeoutMs` is down, and its tunnel ends as unresponsive: a connector that hangs but answers pings keeps a
 *      tunnel for ever, and the one that it opens next may work.
 *   4. Bytes both ways on a circuit of a host that is up stand in for a probe, five times in a row at most.
 *   5. A workload that takes no probes stays as it was: unknown, and dialed.
 *   6. Hosts of other routers are theirs to ask; they tell over the link.
 */
import type { HostEntry } from "../domain/host-entry.ts";
import type { HostRegistry } from "../domain/host-registry.ts";
import { RouterTunnel } from "../domain/router-tunnel.ts";
import type { Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { Turns } from "./turns.ts";
import { WatchedHost } from "./watched-host.ts";

export interface HostWatchOptions {
  readonly hosts: HostRegistry;
  readonly record: Record;
  readonly limits: Pick<RouterLimits, "probeEveryMs" | "probeTimeoutMs" | "maxProbesPerSecond">;
}

export class HostWatch implements Disposable {
  readonly #options: HostWatchOptions;
  readonly #watched = new Map<HostEntry, WatchedHost>();
  readonly #turns: Turns;
  readonly #unfollow: () => void;

  constructor(options: HostWatchOptions) {
    this.#options = options;
    this.#turns = new Turns(options.limits.maxProbesPerSecond);
    this.#unfollow = options.hosts.onChange(({ kind, entry }) => {
      if (kind === "added") this.#watch(entry);
      else if (kind === "removed") this.#forget(entry);
    });
  }

  [Symbol.dispose](): void {
    this.#unfollow();
    for (const host of this.#watched.values()) host[Symbol.dispose]();
    this.#watched.clear();
    this.#turns[Symbol.dispose]();
  }

  #watch(entry: HostEntry): void {
    const { port } = entry;
    // 6
    if (port instanceof RouterTunnel)
      this.#watched.set(entry, new WatchedHost(entry, port, { ...this.#options, turns: this.#turns }));
  }

  #forget(entry: HostEntry): void {
    this.#watched.get(entry)?.[Symbol.dispose]();
    this.#watched.delete(entry);
  }
}
