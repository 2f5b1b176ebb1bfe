/**
 * From an OPEN of a workload to an answer, decided from this router's own memory.
 *
 *   1. Nothing is asked of another process between an OPEN and the decision on it.
 *   2. A dial that policy denies is never heard of by a host.
 *   3. A dial under way is looked at again at each change that can matter for it.
 *   4. One hop: what comes over a link never leaves over one.
 */
import { randomUUID } from "node:crypto";
import type { Decision, PolicyState } from "@sallyport/policy-engine";
import type { Refusal, StreamOpen } from "@sallyport/proto/tunnel";
import { circuitAbandoned, circuitRefused, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";
import { ByService } from "./by-service.ts";
import type { Circuit, CircuitEnd } from "./circuit.ts";
import type { Circuits } from "./circuits.ts";
import type { Counters } from "./counters.ts";
import { Dial, type DialInit, type DialObserver } from "./dial.ts";
import { chooseHosts } from "./host-choice.ts";
import { isLocal, type HostEntry } from "./host-entry.ts";
import type { HostRegistry } from "./host-registry.ts";
import { maxServiceNameLength } from "./hosting.ts";
import type { Party } from "./party.ts";
import { refusal, refusalOf } from "./refusal.ts";
import type { RouterTunnel } from "./router-tunnel.ts";
import type { TunnelPort } from "./tunnel-port.ts";

export interface DialingOptions {
  readonly policy: PolicyState;
  readonly hosts: HostRegistry;
  readonly circuits: Circuits;
  readonly record: Record;
  readonly counters: Counters;
  readonly limits: RouterLimits;
  /** A dial is over, or became a circuit. */
  readonly onEnd: () => void;
}

/** Where an OPEN came in. */
interface Origin {
  readonly party: Party;
  readonly port: TunnelPort;
  readonly streamId: number;
}

const nonceBytes = 16;
/** Of a circuit, of a decision: a UUID is shorter. */
const maxIdLength = 64;

export class Dialing implements DialObserver {
  readonly #options: DialingOptions;
  readonly #dials = new ByService<Dial>();
  readonly #circuitIds = new Set<string>();
  readonly #recordable: TokenBucket;
  #unrecorded = 0;

  constructor(options: DialingOptions) {
    this.#options = options;
    const perSecond = options.limits.recordedRefusalsPerSecond;
    this.#recordable = new TokenBucket({ perSecond, burst: perSecond });
  }

  /** Dials without an answer yet. */
  get size(): number {
    return this.#circuitIds.size;
  }

  fromTunnel(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void {
    const { policy, hosts } = this.#options;
    const origin = { party: tunnel.party, port: tunnel, streamId };
    const { service } = open;
    if (!isWhole(open)) return this.refuseMalformed(origin, service);
    const decision = policy.decideDial(tunnel.party, service);
    if (decision.decision === "deny")
      return this.#refuseDenied(origin, service, decision, refusalOf(decision, "dial", service), "");
    this.#start({
      circuitId: randomUUID(),
      open,
      decision,
      told: decision,
      dialer: origin,
      candidates: hosts.candidates(service, policy.sticksToHost(service) ? tunnel.party.identity.id.uri : null),
      otherwise: noneOf(service, hosts.of(service)),
    });
  }

  /**
   * From a workload of another router, which has judged the dial already: it is judged again here, and answered from own tunnels only (4). `open` names
   * the host that the other router chose.
   */
  fromRouter(origin: Origin, open: StreamOpen): void {
    const { policy, hosts } = this.#options;
    const { service, circuitId, hostId, decisionId, sliceVersion } = open;
    if (!isWhole(open) || !this.#isNew(circuitId)) return this.refuseMalformed(origin, service);
    const decision = policy.decideDial(origin.party, service);
    if (decision.decision === "deny") {
      const told = lacks(decision, sliceVersion) ? notYet(service, sliceVersion) : refusalOf(decision, "dial", service);
      return this.#refuseDenied(origin, service, decision, told, circuitId);
    }
    const own = hosts.of(service).filter((entry) => isLocal(entry) && entry.party.identity.id.uri === hostId);
    this.#start({
      circuitId,
      open,
      decision,
      told: { decisionId: decisionId.slice(0, maxIdLength), sliceVersion },
      dialer: origin,
      candidates: chooseHosts(own, null),
      otherwise: noneOf(service, own),
    });
  }

  /** 3 */
  policyChanged(services: readonly string[]): void {
    for (const dial of services.flatMap((service) => this.#dials.of(service))) {
      const decision = this.#options.policy.decideDial(dial.dialer, dial.service);
      if (decision.decision === "deny" && decision.code !== "HEAD_STALE")
        dial.refuse(refusalOf(decision, "dial", dial.service), decision);
    }
  }

  /** At the deadline of a drain: who has no answer yet gets one that sends it elsewhere. */
  refuseAll(): void {
    const told = refusal("DRAINING", "This router has drained: open the stream on another tunnel.");
    for (const service of this.#dials.services) for (const dial of this.#dials.of(service)) dial.refuse(told);
  }

  /** Without a decision, and as fast as a workload likes: the record gets some of it, and the count of the rest. */
  refuseUnasked({ party, port, streamId }: Origin, asked: string, told: Refusal): void {
    port.refuse(streamId, told);
    this.#options.counters.circuitsRefused += 1;
    if (!this.#recordable.take()) {
      this.#unrecorded += 1;
      return;
    }
    const unrecorded = this.#unrecorded;
    this.#unrecorded = 0;
    const service = asked.slice(0, maxServiceNameLength);
    this.#options.record(
      circuitRefused({ dialer: party, service, decision: null, refusal: told, circuitId: "", unrecorded }),
    );
  }

  refuseMalformed(origin: Origin, service: string): void {
    this.refuseUnasked(
      origin,
      service,
      refusal("PROTOCOL", `An OPEN needs a service and a nonce of ${nonceBytes} bytes.`),
    );
  }

  dialOpened(dial: Dial, circuit: Circuit, host: HostEntry): void {
    this.#over(dial);
    this.#options.hosts.circuitOpened(host);
    this.#options.circuits.opened(circuit, dial.durationUs);
  }

  dialRefused(dial: Dial, told: Refusal, decision: Decision): void {
    this.#over(dial);
    this.#options.counters.circuitsRefused += 1;
    const { dialer, service, circuitId } = dial;
    this.#options.record(circuitRefused({ dialer, service, decision, refusal: told, circuitId }));
    this.#options.onEnd();
  }

  dialCancelled(dial: Dial): void {
    this.#over(dial);
    this.#options.record(circuitAbandoned(dial));
    this.#options.onEnd();
  }

  circuitEnded(circuit: Circuit, end: CircuitEnd, host: HostEntry): void {
    this.#options.hosts.circuitEnded(host);
    this.#options.circuits.ended(circuit, end);
  }

  #isNew(circuitId: string): boolean {
    if (circuitId.length === 0 || circuitId.length > maxIdLength || this.#options.circuits.has(circuitId)) return false;
    return !this.#circuitIds.has(circuitId);
  }

  /** 2 */
  #refuseDenied(
    { party, port, streamId }: Origin,
    service: string,
    decision: Decision,
    told: Refusal,
    circuitId: string,
  ): void {
    port.refuse(streamId, told);
    this.#options.counters.circuitsRefused += 1;
    this.#options.record(circuitRefused({ dialer: party, service, decision, refusal: told, circuitId }));
  }

  #over(dial: Dial): void {
    this.#dials.delete(dial.service, dial);
    this.#circuitIds.delete(dial.circuitId);
  }

  #start(init: Omit<DialInit, "limits" | "observer">): void {
    const dial = new Dial({ ...init, limits: this.#options.limits, observer: this });
    this.#dials.add(dial.service, dial);
    this.#circuitIds.add(dial.circuitId);
    init.dialer.port.place(init.dialer.streamId, dial.slot);
    dial.start();
  }
}

/** Whether the denial may be for want of the slice by which the dialer's router allowed it. What the deny-list says is never too early. */
function lacks({ code, sliceVersion }: Decision, allowedBy: number): boolean {
  return code !== "IDENTITY_DENIED" && sliceVersion < allowedBy;
}

function notYet(service: string, sliceVersion: number): Refusal {
  return refusal("HEAD_STALE", `Slice ${sliceVersion} of "${service}" has not arrived at the host's router yet.`);
}

function noneOf(service: string, entries: readonly HostEntry[]): Refusal {
  const [down] = entries.flatMap(({ health }) => (health.kind === "down" ? [health.reason] : []));
  return down === undefined
    ? refusal("NO_HOST", `No host of "${service}" is connected.`)
    : refusal("HOST_DOWN", `Every host of "${service}" is down: ${down.slice(0, 256)}`);
}

function isWhole({ circuitNonce, service }: StreamOpen): boolean {
  return circuitNonce.length === nonceBytes && service.length <= maxServiceNameLength;
}
