import { WireCode } from "@sallyport/frame";
import type { Decision, PolicyState } from "@sallyport/policy-engine";
import { circuitClosed, circuitOpened, type Record } from "../events.ts";
import type { Circuit, CircuitEnd, CircuitPort } from "./circuit.ts";

export interface CircuitsOptions {
  readonly policy: PolicyState;
  readonly record: Record;
  /** A circuit ended. */
  readonly onEnd: () => void;
}

/** The circuits that run on this router, and what ends them from here. */
export class Circuits {
  readonly #options: CircuitsOptions;
  readonly #byId = new Map<string, Circuit>();
  #bytesOfEnded = 0;

  constructor(options: CircuitsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  has(circuitId: string): boolean {
    return this.#byId.has(circuitId);
  }

  values(): IterableIterator<Circuit> {
    return this.#byId.values();
  }

  /** DATA bytes spliced since the start. */
  get bytesForwarded(): number {
    let bytes = this.#bytesOfEnded;
    for (const { dialerLeg, hostLeg } of this.#byId.values()) bytes += dialerLeg.bytes + hostLeg.bytes;
    return bytes;
  }

  opened(circuit: Circuit, dialUs: number): void {
    this.#byId.set(circuit.circuitId, circuit);
    this.#options.record(circuitOpened(circuit, dialUs));
  }

  ended(circuit: Circuit, end: CircuitEnd): void {
    this.#byId.delete(circuit.circuitId);
    this.#bytesOfEnded += circuit.dialerLeg.bytes + circuit.hostLeg.bytes;
    this.#options.record(circuitClosed(circuit, end));
    this.#options.onEnd();
  }

  /** Both parties of each circuit of these services, again, by the policy that is now. */
  judge(services: ReadonlySet<string>): void {
    const { policy } = this.#options;
    for (const circuit of this.#byId.values()) {
      if (!services.has(circuit.service)) continue;
      this.#cutIfDenied(circuit, policy.decideDial(circuit.dialer, circuit.service));
      this.#cutIfDenied(circuit, policy.decideHost(circuit.host, circuit.service));
    }
  }

  /** Ends what the deny-list no longer allows, wherever the denied party's tunnel is. */
  cutDenied(): void {
    for (const circuit of this.#byId.values()) {
      const entry = this.#options.policy.denied(circuit.dialer) ?? this.#options.policy.denied(circuit.host);
      if (entry === null) continue;
      const reason = `On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`;
      circuit.end({ kind: "cut", wireCode: WireCode.revoked, code: "IDENTITY_DENIED", reason, decision: null });
    }
  }

  /** Whoever hosts at `port` is no longer allowed to host the service. */
  cutHost(port: CircuitPort, service: string, decision: Decision): void {
    for (const circuit of this.#byId.values()) {
      if (circuit.hostPort === port && circuit.service === service) cut(circuit, decision);
    }
  }

  /** A head that is too old cuts nothing: it says nothing new about what runs. */
  #cutIfDenied(circuit: Circuit, decision: Decision): void {
    if (decision.decision === "deny" && decision.code !== "HEAD_STALE") cut(circuit, decision);
  }
}

function cut(circuit: Circuit, decision: Decision): void {
  const { code, reason } = decision;
  circuit.end({ kind: "cut", wireCode: WireCode.revoked, code, reason, decision });
}
