import type { EventInput } from "@sallyport/audit-log";
import type { Identity, Svid } from "@sallyport/identity";
import type { Refusal } from "@sallyport/proto/tunnel";
import { circuitOutcome, type CircuitEnd } from "../circuit/circuit-end.ts";
import type { CircuitRole } from "../circuit/binding.ts";
import type { Circuit } from "../circuit/circuit.ts";
import type { ConnectorError } from "../errors.ts";

/** Who dialed and who hosts, as this end proved it: the circuit's peer, and this end's own certificate. */
export function circuitFacts(circuit: Circuit, own: Svid, protocol: string): Omit<EventInput, "kind"> {
  const dialer = circuit.role === "dialer" ? own : circuit.peer;
  const host = circuit.role === "dialer" ? circuit.peer : own;
  return {
    vantage: circuit.role,
    actorId: dialer.identity.id.uri,
    actorName: nameOf(dialer.identity),
    actorSerial: dialer.serial,
    hostId: host.identity.id.uri,
    service: circuit.service,
    circuitId: circuit.circuitId,
    protocol,
  };
}

export function circuitOpened(circuit: Circuit, own: Svid, protocol: string): EventInput {
  const { decision } = circuit;
  return {
    ...circuitFacts(circuit, own, protocol),
    kind: "circuit.opened",
    decision: decision.decision,
    decisionId: decision.decisionId,
    ruleIds: [...decision.ruleIds],
    sliceVersion: decision.sliceVersion,
    reason: decision.reason,
    decideUs: decision.decideUs,
    tlsGroup: circuit.peer.tlsGroup ?? "",
    attributes: { router_decision_id: circuit.routerDecisionId, router_slice_version: String(circuit.sliceVersion) },
  };
}

export function circuitClosed(circuit: Circuit, own: Svid, protocol: string, end: CircuitEnd): EventInput {
  return {
    ...circuitFacts(circuit, own, protocol),
    kind: "circuit.closed",
    outcome: circuitOutcome(end),
    reason: end.kind === "truncated" ? end.reason : "",
    bytesSent: circuit.bytesSent,
    bytesReceived: circuit.bytesReceived,
    durationUs: (Date.now() - circuit.openedAt.getTime()) * 1_000,
    ...(end.kind === "revoked"
      ? { decision: "deny", decisionId: end.decision.decisionId, ruleIds: [...end.decision.ruleIds] }
      : {}),
    attributes: { end: end.kind },
  };
}

export interface RefusedCircuit {
  readonly role: CircuitRole;
  readonly service: string;
  readonly circuitId: string;
  /** The dialer and the host as far as this end knows them: its own proven, the other claimed. */
  readonly dialerId: string;
  readonly hostId: string;
}

/** A circuit that this end did not let come to be. */
export function circuitRefused(circuit: RefusedCircuit, why: ConnectorError): EventInput {
  const refusal: Partial<Refusal> = why.refusal ?? {};
  return {
    kind: "circuit.refused",
    vantage: circuit.role,
    actorId: circuit.dialerId,
    service: circuit.service,
    hostId: circuit.hostId,
    circuitId: circuit.circuitId,
    decision: refusal.decisionId === undefined || refusal.decisionId === "" ? "" : "deny",
    decisionId: refusal.decisionId ?? "",
    ruleIds: refusal.ruleIds ?? [],
    sliceVersion: refusal.sliceVersion ?? 0,
    reason: why.message,
    outcome: "denied",
    errorCode: refusal.code ?? why.code,
  };
}

function nameOf(identity: Identity): string {
  return identity.kind === "bus" ? identity.role : identity.name;
}
