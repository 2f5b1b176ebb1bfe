import { WireCode } from "@sallyport/frame";
import type { Decision, DeniedSubject, PolicyState } from "@sallyport/policy-engine";
import { circuitClosed, circuitOpened, type Record } from "../events.ts";
import { ByService } from "./by-service.ts";
import type { Circuit, CircuitEnd, CircuitPort } from "./circuit.ts";
import { IdentityIndex } from "./identity-index.ts";
import type { Party } from "./party.ts";

export interface CircuitsOptions {
  readonly policy: PolicyState;
  readonly record: Record;
  /** A circuit ended. */
  readonly onEnd: () => void;
}

/**
 * The circuits that run on this router, and what ends them from here. A cut looks at those whom it concerns, by the indices, and at no other circuit:
 * it costs what it cuts, however many run.
 */
export class Circuits {
  readonly #options: CircuitsOptions;
  readonly #byId = new Map<string, Circuit>();
  /** By both of its parties, wherever their tunnels are. */
  readonly #byIdentity = new IdentityIndex<Circuit>();
  readonly #byService = new ByService<Circuit>();
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

  get(circuitId: string): Circuit | undefined {
    return this.#byId.get(circuitId);
  }

  of(subject: DeniedSubject): readonly Circuit[] {
    return this.#byIdentity.of(subject);
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
    this.#byIdentity.add(circuit.dialer, circuit);
    this.#byIdentity.add(circuit.host, circuit);
    this.#byService.add(circuit.service, circuit);
    this.#options.record(circuitOpened(circuit, dialUs));
  }

  ended(circuit: Circuit, end: CircuitEnd): void {
    this.#byId.delete(circuit.circuitId);
    this.#byIdentity.delete(circuit.dialer, circuit);
    this.#byIdentity.delete(circuit.host, circuit);
    this.#byService.delete(circuit.service, circuit);
    this.#bytesOfEnded += circuit.dialerLeg.bytes + circuit.hostLeg.bytes;
    this.#options.record(circuitClosed(circuit, end));
    this.#options.onEnd();
  }

  /** Both parties of each circuit of these services, again, by the policy that is now. */
  judge(services: Iterable<string>): void {
    const { policy } = this.#options;
    for (const service of services) {
      const mayDial = oncePerParty((party) => policy.decideDial(party, service));
      const mayHost = oncePerParty((party) => policy.decideHost(party, service));
      for (const circuit of this.#byService.of(service)) {
        this.#cutIfDenied(circuit, mayDial(circuit.dialer));
        this.#cutIfDenied(circuit, mayHost(circuit.host));
      }
    }
  }

  /** Ends what the deny-list no longer allows, wherever the denied party's tunnel is. */
  cutDenied(denied: readonly DeniedSubject[]): void {
    const { policy } = this.#options;
    for (const circuit of denied.flatMap((subject) => this.of(subject))) {
      const entry = policy.denied(circuit.dialer) ?? policy.denied(circuit.host);
      if (entry === null) continue;
      const reason = `On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`;
      circuit.end({ kind: "cut", wireCode: WireCode.revoked, code: "IDENTITY_DENIED", reason, decision: null });
    }
  }

  /** Whoever hosts at `port` is no longer allowed to host the service. */
  cutHost(port: CircuitPort, service: string, decision: Decision): void {
    for (const circuit of this.#byService.of(service)) if (circuit.hostPort === port) cut(circuit, decision);
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

/** One decision per certificate, however many circuits its holder has. */
function oncePerParty(decide: (party: Party) => Decision): (party: Party) => Decision {
  const decisions = new Map<string, Decision>();
  return (party) => {
    const key = `${party.serial} ${party.identity.id.uri}`;
    const known = decisions.get(key);
    if (known !== undefined) return known;
    const decision = decide(party);
    decisions.set(key, decision);
    return decision;
  };
}
