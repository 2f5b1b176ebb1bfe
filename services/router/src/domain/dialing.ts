/**
 * From an OPEN of a workload to an answer, decided from this router's own memory.
 *
 *   1. Nothing is asked of another process between an OPEN and the decision on it.
 *   2. A dial that policy denies is never heard of by a host.
 *   3. A dial under way is looked at again at each change that can matter for it.
 */
import { randomUUID } from "node:crypto";
import type { Decision, PolicyState } from "@sallyport/policy-engine";
import type { Refusal, StreamOpen } from "@sallyport/proto/tunnel";
import { circuitAbandoned, circuitRefused, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";
import type { Circuit, CircuitEnd } from "./circuit.ts";
import type { Circuits } from "./circuits.ts";
import { Dial, type DialInit, type DialObserver } from "./dial.ts";
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

export class Dialing implements DialObserver {
  readonly #options: DialingOptions;
  readonly #dials = new Set<Dial>();
  readonly #recordable: TokenBucket;
  #unrecorded = 0;

  constructor(options: DialingOptions) {
    this.#options = options;
    const perSecond = options.limits.recordedRefusalsPerSecond;
    this.#recordable = new TokenBucket({ perSecond, burst: perSecond });
  }

  /** Dials without an answer yet. */
  get size(): number {
    return this.#dials.size;
  }

  fromTunnel(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void {
    const { policy, hosts } = this.#options;
    const origin = { party: tunnel.party, port: tunnel, streamId };
    const { service } = open;
    if (!isWhole(open)) return this.refuseMalformed(origin, service);
    const decision = policy.decideDial(tunnel.party, service);
    if (decision.decision === "deny") return this.#refuseDenied(origin, service, decision, "");
    this.#start({
      circuitId: randomUUID(),
      open,
      decision,
      told: decision,
      dialer: origin,
      candidates: hosts.candidates(service),
    });
  }

  /** 3 */
  policyChanged(services: ReadonlySet<string>): void {
    for (const dial of this.#dials) {
      if (!services.has(dial.service)) continue;
      const decision = this.#options.policy.decideDial(dial.dialer, dial.service);
      if (decision.decision === "deny" && decision.code !== "HEAD_STALE")
        dial.refuse(refusalOf(decision, "dial", dial.service), decision);
    }
  }

  /** Without a decision, and as fast as a workload likes: the record gets some of it, and the count of the rest. */
  refuseUnasked({ party, port, streamId }: Origin, asked: string, told: Refusal): void {
    port.refuse(streamId, told);
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

  dialOpened(dial: Dial, circuit: Circuit): void {
    this.#dials.delete(dial);
    this.#options.circuits.opened(circuit, dial.durationUs);
  }

  dialRefused(dial: Dial, told: Refusal, decision: Decision): void {
    this.#dials.delete(dial);
    const { dialer, service, circuitId } = dial;
    this.#options.record(circuitRefused({ dialer, service, decision, refusal: told, circuitId }));
    this.#options.onEnd();
  }

  dialCancelled(dial: Dial): void {
    this.#dials.delete(dial);
    this.#options.record(circuitAbandoned(dial));
    this.#options.onEnd();
  }

  circuitEnded(circuit: Circuit, end: CircuitEnd): void {
    this.#options.circuits.ended(circuit, end);
  }

  /** 2 */
  #refuseDenied({ party, port, streamId }: Origin, service: string, decision: Decision, circuitId: string): void {
    const told = refusalOf(decision, "dial", service);
    port.refuse(streamId, told);
    this.#options.record(circuitRefused({ dialer: party, service, decision, refusal: told, circuitId }));
  }

  #start(init: Omit<DialInit, "limits" | "observer">): void {
    const dial = new Dial({ ...init, limits: this.#options.limits, observer: this });
    this.#dials.add(dial);
    init.dialer.port.place(init.dialer.streamId, dial.slot);
    dial.start();
  }
}

function isWhole({ circuitNonce, service }: StreamOpen): boolean {
  return circuitNonce.length === nonceBytes && service.length <= maxServiceNameLength;
}
