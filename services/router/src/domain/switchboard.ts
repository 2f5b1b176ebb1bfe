/**
 * Who may do what on this router, decided from its own memory.
 *
 *   1. What was allowed under one policy is looked at again at each change that can matter for it.
 *   2. A head that is too old stops new things; it cuts nothing, since it says nothing new about what runs.
 *   3. The deny-list alone is enough to cut: it counts from the moment it arrives.
 */
import type { DeniedSubject, PolicyChange, PolicyState } from "@sallyport/policy-engine";
import type { HostAnnounce, StreamOpen } from "@sallyport/proto/tunnel";
import { tunnelClosed, tunnelOpened, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { ChangeFeed } from "./change-feed.ts";
import { Circuits } from "./circuits.ts";
import type { Counters } from "./counters.ts";
import { Dialing } from "./dialing.ts";
import { HostRegistry } from "./host-registry.ts";
import { Hosting } from "./hosting.ts";
import { OpenRates } from "./open-rates.ts";
import { refusal } from "./refusal.ts";
import type { RouterTunnel, TunnelOwner } from "./router-tunnel.ts";
import { limitBehind, type TunnelEnd } from "./tunnel-end.ts";
import { Tunnels } from "./tunnels.ts";

/** Streams that end in the router itself, by service name. */
export interface BuiltIns {
  /** Whether the name is a built-in service's. */
  owns(service: string): boolean;
  open(tunnel: RouterTunnel, streamId: number, service: string): void;
}

export interface SwitchboardOptions {
  readonly policy: PolicyState;
  readonly builtIns: BuiltIns;
  readonly record: Record;
  readonly counters: Counters;
  readonly limits: RouterLimits;
  /** The event loop is too late for new work. */
  readonly overloaded: () => boolean;
}

export class Switchboard implements TunnelOwner {
  readonly hosts: HostRegistry = new HostRegistry();
  readonly tunnels: Tunnels = new Tunnels();
  readonly circuits: Circuits;
  readonly changes: ChangeFeed = new ChangeFeed();
  readonly dialing: Dialing;
  readonly #hosting: Hosting;
  readonly #openRates: OpenRates;
  readonly #options: SwitchboardOptions;
  readonly #whenIdle = new Set<() => void>();
  readonly #greeted = new WeakSet<RouterTunnel>();
  #draining = false;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.#openRates = new OpenRates(options.limits);
    const onEnd = (): void => this.#checkIdle();
    const { changes } = this;
    this.hosts.onChange(({ kind, entry }) => {
      if (kind !== "load") changes.tell({ kind: kind === "removed" ? "host-gone" : "host", entry });
    });
    this.circuits = new Circuits({ ...options, changes, onEnd });
    const parts = { ...options, hosts: this.hosts, circuits: this.circuits };
    this.dialing = new Dialing({ ...parts, onEnd });
    this.#hosting = new Hosting(parts);
  }

  /** A tunnel whose identity is proven and not denied: from now on changes of policy reach it. */
  admit(tunnel: RouterTunnel): void {
    this.tunnels.add(tunnel);
  }

  opened(tunnel: RouterTunnel): void {
    this.#options.counters.tunnelsOpened += 1;
    this.#greeted.add(tunnel);
    this.#options.record(tunnelOpened(tunnel));
    this.changes.tell({ kind: "tunnel", tunnel });
    if (this.#draining) tunnel.drain();
  }

  open(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void {
    if (this.#draining)
      return tunnel.refuse(
        streamId,
        refusal("DRAINING", "This router is going away: open the stream on another tunnel."),
      );
    const { service } = open;
    const isBuiltIn = this.#options.builtIns.owns(service);
    const shed = this.#shedBy(tunnel, isBuiltIn);
    if (shed !== null) {
      this.#options.counters.shedBy(shed.limit);
      const origin = { party: tunnel.party, port: tunnel, streamId };
      return this.dialing.refuseUnasked(origin, service, refusal("OVERLOADED", shed.why));
    }
    if (isBuiltIn) return this.#options.builtIns.open(tunnel, streamId, service);
    this.dialing.fromTunnel(tunnel, streamId, open);
  }

  announced(tunnel: RouterTunnel, announce: HostAnnounce): void {
    this.#hosting.announced(tunnel, announce);
  }

  withdrawn(tunnel: RouterTunnel, service: string): void {
    this.#hosting.withdrawn(tunnel, service);
  }

  over(tunnel: RouterTunnel, end: TunnelEnd): void {
    this.#hosting.over(tunnel);
    if (!this.tunnels.delete(tunnel)) return;
    this.changes.tell({ kind: "tunnel-gone", tunnel });
    const limit = limitBehind(end);
    if (limit !== null) this.#options.counters.shedBy(limit);
    // Who leaves before the hello only looked which router this is: there was never a tunnel to put on record.
    if (end.kind === "left" && !this.#greeted.has(tunnel)) return;
    this.#options.record(tunnelClosed(tunnel, end, (Date.now() - tunnel.sinceUnixMs) * 1_000));
  }

  /** To be called after each change of policy (1). */
  policyChanged(change: PolicyChange): void {
    this.#cutDenied(change.denied);
    this.#hosting.policyChanged(change);
    this.dialing.policyChanged(change.services);
    this.circuits.judge(change.services);
  }

  /** Takes nothing new from now on, and tells every workload so. */
  stopTaking(): void {
    this.#draining = true;
    for (const tunnel of this.tunnels) tunnel.drain();
  }

  /** DATA bytes spliced since the start. */
  get bytesForwarded(): number {
    return this.circuits.bytesForwarded;
  }

  get running(): { readonly tunnels: number; readonly circuits: number } {
    return { tunnels: this.tunnels.size, circuits: this.circuits.size };
  }

  /** Calls back once, when no circuit and no dial is left; at once when that is so already. */
  whenIdle(callback: () => void): void {
    this.#whenIdle.add(callback);
    this.#checkIdle();
  }

  /** What still runs is ended, then the tunnels. */
  endAll(): void {
    this.dialing.refuseAll();
    this.circuits.endAll();
    for (const tunnel of this.tunnels) tunnel.close();
  }

  /** Why a stream is refused before anything is asked about it. A router that is late still serves what its workloads cannot do without. */
  #shedBy(
    tunnel: RouterTunnel,
    isBuiltIn: boolean,
  ): { readonly limit: keyof RouterLimits; readonly why: string } | null {
    const { maxStreamsPerTunnel, opensPerSecondPerIdentity, overloadDelayMs } = this.#options.limits;
    if (tunnel.streams >= maxStreamsPerTunnel)
      return { limit: "maxStreamsPerTunnel", why: `More than ${maxStreamsPerTunnel} streams at once on this tunnel.` };
    if (!this.#openRates.take(tunnel.peer.identity.id.uri)) {
      const why = `More than ${opensPerSecondPerIdentity} streams a second, over all tunnels of this identity.`;
      return { limit: "opensPerSecondPerIdentity", why };
    }
    if (!isBuiltIn && this.#options.overloaded())
      return {
        limit: "overloadDelayMs",
        why: `This router is more than ${overloadDelayMs} ms late: it takes nothing new.`,
      };
    return null;
  }

  /** 3 */
  #cutDenied(denied: readonly DeniedSubject[]): void {
    for (const tunnel of denied.flatMap((subject) => this.tunnels.of(subject))) {
      const entry = this.#options.policy.denied(tunnel.peer);
      if (entry !== null) tunnel.revoke(`On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`);
    }
    this.circuits.cutDenied(denied);
  }

  /** Told after this turn: the frames that ended the last circuit may not have reached its tunnels before that. */
  #checkIdle(): void {
    if (this.#whenIdle.size === 0 || this.circuits.size + this.dialing.size > 0) return;
    queueMicrotask(() => {
      const waiting = [...this.#whenIdle];
      this.#whenIdle.clear();
      for (const callback of waiting) callback();
    });
  }
}
