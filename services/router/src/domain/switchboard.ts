/**
 * Who may do what on this router, decided from its own memory.
 *
 *   1. Nothing is asked of another process between an OPEN and its answer.
 *   2. A dial that policy denies is never heard of by a host.
 *   3. What was allowed under one policy is looked at again at each change that can matter for it, dials under way included.
 *   4. A head that is too old stops new things; it cuts nothing, since it says nothing new about what runs.
 *   5. The deny-list alone is enough to cut: it counts from the moment it arrives.
 */
import { FrameError, WireCode } from "@sallyport/frame";
import type { Decision, PolicyChange, PolicyState } from "@sallyport/policy-engine";
import type { Refusal, StreamOpen } from "@sallyport/proto/tunnel";
import {
  circuitAbandoned,
  circuitClosed,
  circuitOpened,
  circuitRefused,
  hostAnnounced,
  hostRefused,
  hostWithdrawn,
  tunnelClosed,
  tunnelOpened,
  type Record,
} from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";
import type { Circuit, CircuitEnd } from "./circuit.ts";
import { Dial, type DialObserver } from "./dial.ts";
import { HostRegistry } from "./host-registry.ts";
import { refusal, refusalOf } from "./refusal.ts";
import type { RouterTunnel, TunnelOwner } from "./router-tunnel.ts";
import type { TunnelEnd } from "./tunnel-end.ts";
import type { TunnelPort } from "./tunnel-port.ts";

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

const nonceBytes = 16;
/** Longer than any name of a service can be: not worth a decision. */
const maxServiceNameLength = 255;

export class Switchboard implements TunnelOwner, DialObserver {
  readonly hosts: HostRegistry<TunnelPort> = new HostRegistry();
  readonly tunnels: Set<RouterTunnel> = new Set();
  readonly circuits: Map<string, Circuit> = new Map();
  readonly #dials = new Set<Dial>();
  readonly #openRates = new WeakMap<RouterTunnel, TokenBucket>();
  readonly #options: SwitchboardOptions;
  readonly #whenIdle = new Set<() => void>();
  readonly #recordable: TokenBucket;
  #unrecorded = 0;
  #draining = false;
  #bytesOfEnded = 0;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    const perSecond = options.limits.recordedRefusalsPerSecond;
    this.#recordable = new TokenBucket({ perSecond, burst: perSecond });
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
      return this.#refuseUnasked(tunnel, streamId, service, told);
    }
    if (this.#options.builtIns.owns(service)) return this.#options.builtIns.open(tunnel, streamId, service);
    if (open.circuitNonce.length !== nonceBytes || service.length > maxServiceNameLength) {
      const told = refusal("PROTOCOL", `An OPEN needs a service and a nonce of ${nonceBytes} bytes.`);
      return this.#refuseUnasked(tunnel, streamId, service, told);
    }
    this.#dial(tunnel, streamId, open);
  }

  announced(tunnel: RouterTunnel, service: string): void {
    const { maxServicesPerTunnel } = this.#options.limits;
    if (tunnel.offers.size >= maxServicesPerTunnel && !tunnel.offers.has(service)) {
      throw new FrameError("RATE_EXCEEDED", `More than ${maxServicesPerTunnel} services on one tunnel.`);
    }
    if (service.length > maxServiceNameLength)
      throw new FrameError("PAYLOAD_INVALID", "The name of the service is too long.");
    tunnel.offers.add(service);
    this.#judgeOffer(tunnel, service, "announced");
  }

  withdrawn(tunnel: RouterTunnel, service: string): void {
    tunnel.offers.delete(service);
    if (this.hosts.remove(service, tunnel))
      this.#options.record(hostWithdrawn(tunnel, service, "The host withdrew it."));
  }

  over(tunnel: RouterTunnel, end: TunnelEnd): void {
    for (const service of tunnel.offers) {
      if (this.hosts.remove(service, tunnel))
        this.#options.record(hostWithdrawn(tunnel, service, "Its tunnel is over."));
    }
    tunnel.offers.clear();
    if (!this.tunnels.delete(tunnel)) return;
    this.#options.record(tunnelClosed(tunnel, end, (Date.now() - tunnel.sinceUnixMs) * 1_000));
  }

  /** To be called after each change of policy (3). */
  policyChanged(change: PolicyChange): void {
    if (change.denyListChanged) this.#cutDenied();
    const changed = new Set(change.services);
    for (const tunnel of this.tunnels) {
      for (const service of tunnel.offers) {
        const waits = change.headAdvanced && !this.hosts.has(service, tunnel);
        if (changed.has(service) || waits) this.#judgeOffer(tunnel, service, "again");
      }
    }
    for (const dial of this.#dials) if (changed.has(dial.service)) this.#judgeDial(dial);
    for (const circuit of this.circuits.values()) if (changed.has(circuit.service)) this.#judgeCircuit(circuit);
  }

  /** Takes nothing new from now on, and tells every workload so. */
  drain(): void {
    this.#draining = true;
    for (const tunnel of this.tunnels) tunnel.drain();
  }

  /** DATA bytes spliced since the start. */
  get bytesForwarded(): number {
    let bytes = this.#bytesOfEnded;
    for (const { dialerLeg, hostLeg } of this.circuits.values()) bytes += dialerLeg.bytes + hostLeg.bytes;
    return bytes;
  }

  /** Resolves when no circuit and no dial is left, or `signal` aborts. */
  async idle(signal: AbortSignal): Promise<void> {
    if (this.circuits.size + this.#dials.size === 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  closeTunnels(): void {
    for (const tunnel of this.tunnels) tunnel.close();
  }

  dialOpened(dial: Dial, circuit: Circuit): void {
    this.#dials.delete(dial);
    this.circuits.set(circuit.circuitId, circuit);
    this.#options.record(circuitOpened(circuit, dial.durationUs));
  }

  dialRefused(dial: Dial, told: Refusal, decision: Decision): void {
    this.#dials.delete(dial);
    const { dialer, service, circuitId } = dial;
    this.#options.record(circuitRefused({ peer: dialer.peer, service, decision, refusal: told, circuitId }));
  }

  dialCancelled(dial: Dial): void {
    this.#dials.delete(dial);
    this.#options.record(circuitAbandoned(dial));
  }

  circuitEnded(circuit: Circuit, end: CircuitEnd): void {
    this.circuits.delete(circuit.circuitId);
    this.#bytesOfEnded += circuit.dialerLeg.bytes + circuit.hostLeg.bytes;
    this.#options.record(circuitClosed(circuit, end));
    if (this.circuits.size + this.#dials.size > 0) return;
    for (const resolve of this.#whenIdle) resolve();
    this.#whenIdle.clear();
  }

  #mayOpen(tunnel: RouterTunnel): boolean {
    return tunnel.streams < this.#options.limits.maxStreamsPerTunnel && this.#openRates.get(tunnel)?.take() === true;
  }

  /** Without a decision, and as fast as a workload likes: the record gets some of it, and the count of the rest. */
  #refuseUnasked(tunnel: RouterTunnel, streamId: number, asked: string, told: Refusal): void {
    tunnel.refuse(streamId, told);
    if (!this.#recordable.take()) {
      this.#unrecorded += 1;
      return;
    }
    const unrecorded = this.#unrecorded;
    this.#unrecorded = 0;
    const service = asked.slice(0, maxServiceNameLength);
    const facts = { peer: tunnel.peer, service, decision: null, refusal: told, circuitId: "", unrecorded };
    this.#options.record(circuitRefused(facts));
  }

  #dial(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void {
    const { policy, limits, record } = this.#options;
    const { service } = open;
    const decision = policy.decideDial(tunnel.peer, service);
    if (decision.decision === "deny") {
      const told = refusalOf(decision, "dial", service);
      tunnel.refuse(streamId, told);
      return record(circuitRefused({ peer: tunnel.peer, service, decision, refusal: told, circuitId: "" }));
    }
    const candidates = this.hosts.candidates(service);
    const dial = new Dial({
      open,
      decision,
      dialer: tunnel,
      dialerStreamId: streamId,
      candidates,
      limits,
      observer: this,
    });
    this.#dials.add(dial);
    tunnel.place(streamId, dial.slot);
    dial.start();
  }

  /** Brings what is on offer in line with policy, and tells the workload where that changed or it asked. */
  #judgeOffer(tunnel: RouterTunnel, service: string, why: "announced" | "again"): void {
    const decision = this.#options.policy.decideHost(tunnel.peer, service);
    const offered = this.hosts.has(service, tunnel);
    if (decision.decision === "allow") {
      this.hosts.add({ service, tunnel, sinceUnixMs: Date.now() });
      if (offered && why === "again") return;
      this.#options.record(hostAnnounced(tunnel, service, decision));
      return tunnel.sendControl({
        message: { $case: "hostResult", value: { service, accepted: true, refusal: undefined } },
      });
    }
    if (offered && decision.code === "HEAD_STALE") return; // 4
    if (!offered && why === "again") return;
    const told = refusalOf(decision, "host", service);
    this.hosts.remove(service, tunnel);
    this.#options.record(hostRefused(tunnel, service, decision));
    tunnel.sendControl({ message: { $case: "hostResult", value: { service, accepted: false, refusal: told } } });
    for (const circuit of this.#circuitsAt(tunnel, service)) this.#cut(circuit, decision);
  }

  #circuitsAt(tunnel: RouterTunnel, service: string): readonly Circuit[] {
    return [...this.circuits.values()].filter((circuit) => circuit.host === tunnel && circuit.service === service);
  }

  #judgeDial(dial: Dial): void {
    const decision = this.#options.policy.decideDial(dial.dialer.peer, dial.service);
    if (decision.decision === "deny" && decision.code !== "HEAD_STALE")
      dial.refuse(refusalOf(decision, "dial", dial.service), decision);
  }

  #judgeCircuit(circuit: Circuit): void {
    const decision = this.#options.policy.decideDial(circuit.dialer.peer, circuit.service);
    if (decision.decision === "deny" && decision.code !== "HEAD_STALE") this.#cut(circuit, decision);
  }

  #cut(circuit: Circuit, decision: Decision): void {
    const { code, reason } = decision;
    circuit.end({ kind: "cut", wireCode: WireCode.revoked, code, reason, decision });
  }

  #cutDenied(): void {
    for (const tunnel of this.tunnels) {
      const entry = this.#options.policy.denied(tunnel.peer);
      if (entry !== null) tunnel.revoke(`On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`);
    }
  }
}
