import { WireCode } from "@sallyport/frame";
import type { Decision, DeniedSubject, PolicyState } from "@sallyport/policy-engine";
import { circuitClosed, circuitOpened, type Record } from "../events.ts";
import { ByService } from "./by-service.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { Circuit, CircuitEnd, CircuitPort } from "./circuit.ts";
import type { Counters } from "./counters.ts";
import { IdentityIndex } from "./identity-index.ts";
import type { Party } from "./party.ts";

export interface CircuitsOptions {
  readonly policy: PolicyState;
  readonly record: Record;
  readonly counters: Counters;
  readonly changes: ChangeFeed;
  /** A circuit ended. */
  readonly onEnd: () => void;
}

/** DATA bytes that came from a port and that left by it. */
export interface Moved {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

interface MovedByPort {
  get(port: CircuitPort): Moved | undefined;
  set(port: CircuitPort, moved: Moved): unknown;
}

const nothingMoved: Moved = { bytesIn: 0, bytesOut: 0 };

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
  readonly #movedByEnded = new WeakMap<CircuitPort, Moved>();
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

  /** What each port moved since it is there, on circuits that ended too. */
  moved(): (port: CircuitPort) => Moved {
    const live = new Map<CircuitPort, Moved>();
    for (const circuit of this.#byId.values()) addMoved(live, circuit);
    return (port) => sum(live.get(port), this.#movedByEnded.get(port));
  }

  opened(circuit: Circuit, dialUs: number): void {
    this.#options.counters.circuitsOpened += 1;
    this.#byId.set(circuit.circuitId, circuit);
    this.#byIdentity.add(circuit.dialer, circuit);
    this.#byIdentity.add(circuit.host, circuit);
    this.#byService.add(circuit.service, circuit);
    this.#options.record(circuitOpened(circuit, dialUs));
    this.#options.changes.tell({ kind: "circuit", circuit });
  }

  ended(circuit: Circuit, end: CircuitEnd): void {
    this.#count(end);
    this.#byId.delete(circuit.circuitId);
    this.#byIdentity.delete(circuit.dialer, circuit);
    this.#byIdentity.delete(circuit.host, circuit);
    this.#byService.delete(circuit.service, circuit);
    this.#bytesOfEnded += circuit.dialerLeg.bytes + circuit.hostLeg.bytes;
    addMoved(this.#movedByEnded, circuit);
    this.#options.record(circuitClosed(circuit, end));
    this.#options.changes.tell({ kind: "circuit-gone", circuit });
    this.#options.onEnd();
  }

  #count(end: CircuitEnd): void {
    const { counters } = this.#options;
    if (end.kind === "cut") counters.circuitsCut += 1;
    if (end.kind === "overgranted") counters.shedBy("maxQueuedBytesPerStream");
    if (end.kind === "shed") counters.shedBy("maxQueuedBytesPerLink");
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

  /** At the deadline of a drain. */
  endAll(): void {
    for (const circuit of this.#byId.values()) circuit.end({ kind: "drained" });
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

function addMoved(byPort: MovedByPort, circuit: Circuit): void {
  const { dialerPort, hostPort, dialerLeg, hostLeg } = circuit;
  const fromDialer = { bytesIn: dialerLeg.bytes, bytesOut: hostLeg.bytes };
  const fromHost = { bytesIn: hostLeg.bytes, bytesOut: dialerLeg.bytes };
  byPort.set(dialerPort, sum(byPort.get(dialerPort), fromDialer));
  byPort.set(hostPort, sum(byPort.get(hostPort), fromHost));
}

function sum(one = nothingMoved, other = nothingMoved): Moved {
  return { bytesIn: one.bytesIn + other.bytesIn, bytesOut: one.bytesOut + other.bytesOut };
}
