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
import { TokenBucket } from "../public-port/token-bucket.ts";
import { Circuits } from "./circuits.ts";
import { Dialing } from "./dialing.ts";
import { HostRegistry } from "./host-registry.ts";
import { Hosting } from "./hosting.ts";
import { refusal } from "./refusal.ts";
import type { RouterTunnel, TunnelOwner } from "./router-tunnel.ts";
import type { TunnelEnd } from "./tunnel-end.ts";
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
  readonly limits: RouterLimits;
}

export class Switchboard implements TunnelOwner {
  readonly hosts: HostRegistry = new HostRegistry();
  readonly tunnels: Tunnels = new Tunnels();
  readonly circuits: Circuits;
  readonly dialing: Dialing;
  readonly #hosting: Hosting;
  readonly #openRates = new WeakMap<RouterTunnel, TokenBucket>();
  readonly #options: SwitchboardOptions;
  readonly #whenIdle = new Set<() => void>();
  #draining = false;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    const onEnd = (): void => this.#checkIdle();
    this.circuits = new Circuits({ ...options, onEnd });
    const parts = { ...options, hosts: this.hosts, circuits: this.circuits };
    this.dialing = new Dialing({ ...parts, onEnd });
    this.#hosting = new Hosting(parts);
  }

  /** A tunnel whose identity is proven and not denied: from now on changes of policy reach it. */
  admit(tunnel: RouterTunnel): void {
    this.tunnels.add(tunnel);
  }

  opened(tunnel: RouterTunnel): void {
    const { opensPerSecondPerTunnel: perSecond, openBurstPerTunnel: burst } = this.#options.limits;
    this.#openRates.set(tunnel, new TokenBucket({ perSecond, burst }));
    this.#options.record(tunnelOpened(tunnel));
    if (this.#draining) tunnel.drain();
  }

  open(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void {
    if (this.#draining)
      return tunnel.refuse(
        streamId,
        refusal("DRAINING", "This router is going away: open the stream on another tunnel."),
      );
    const { service } = open;
    if (!this.#mayOpen(tunnel)) {
      const told = refusal("OVERLOADED", "Too many streams on this tunnel, or too many in a short time.");
      return this.dialing.refuseUnasked({ party: tunnel.party, port: tunnel, streamId }, service, told);
    }
    if (this.#options.builtIns.owns(service)) return this.#options.builtIns.open(tunnel, streamId, service);
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
  drain(): void {
    this.#draining = true;
    for (const tunnel of this.tunnels) tunnel.drain();
  }

  /** DATA bytes spliced since the start. */
  get bytesForwarded(): number {
    return this.circuits.bytesForwarded;
  }

  /** Resolves when no circuit and no dial is left, or `signal` aborts. */
  async idle(signal: AbortSignal): Promise<void> {
    if (this.circuits.size + this.dialing.size === 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  closeTunnels(): void {
    for (const tunnel of this.tunnels) tunnel.close();
  }

  #mayOpen(tunnel: RouterTunnel): boolean {
    return tunnel.streams < this.#options.limits.maxStreamsPerTunnel && this.#openRates.get(tunnel)?.take() === true;
  }

  /** 3 */
  #cutDenied(denied: readonly DeniedSubject[]): void {
    for (const tunnel of denied.flatMap((subject) => this.tunnels.of(subject))) {
      const entry = this.#options.policy.denied(tunnel.peer);
      if (entry !== null) tunnel.revoke(`On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`);
    }
    this.circuits.cutDenied(denied);
  }

  #checkIdle(): void {
    if (this.circuits.size + this.dialing.size > 0) return;
    for (const resolve of this.#whenIdle) resolve();
    this.#whenIdle.clear();
  }
}
