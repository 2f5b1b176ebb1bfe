import { actorFacts, decisionFacts, recordedName, type EventInput } from "@sallyport/audit-log";
import { wireCodeName } from "@sallyport/frame";
import { identityOf, parseSpiffeId, type Svid } from "@sallyport/identity";
import type { CircuitRole } from "../circuit/binding.ts";
import { circuitOutcome, type CircuitEnd } from "../circuit/circuit-end.ts";
import type { Refusal } from "@sallyport/proto/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import type { ConnectorError } from "../errors.ts";
import type { PolicyLie } from "./policy-feed.ts";

/** Who dialed and who hosts, as this end proved it: the circuit's peer, and this end's own certificate. */
export function circuitFacts(circuit: Circuit, own: Svid, protocol: string): Omit<EventInput, "kind"> {
  const dialer = circuit.role === "dialer" ? own : circuit.peer;
  const host = circuit.role === "dialer" ? circuit.peer : own;
  return {
    vantage: circuit.role,
    ...actorFacts(dialer),
    hostId: host.identity.id.uri,
    service: circuit.service,
    circuitId: circuit.circuitId,
    protocol,
  };
}

export function circuitOpened(circuit: Circuit, own: Svid, protocol: string): EventInput {
  return {
    ...circuitFacts(circuit, own, protocol),
    ...decisionFacts(circuit.decision),
    kind: "circuit.opened",
    tlsGroup: circuit.peer.tlsGroup ?? "",
    outcome: "ok",
    attributes: routerFacts(circuit),
  };
}

export function circuitClosed(circuit: Circuit, own: Svid, protocol: string, end: CircuitEnd): EventInput {
  return {
    ...circuitFacts(circuit, own, protocol),
    ...decisionFacts(circuit.decision),
    kind: "circuit.closed",
    outcome: circuitOutcome(end),
    ...endFacts(end),
    bytesSent: circuit.bytesSent,
    bytesReceived: circuit.bytesReceived,
    durationUs: (Date.now() - circuit.openedAt.getTime()) * 1_000,
    tlsGroup: circuit.peer.tlsGroup ?? "",
    attributes: { end: end.kind, ...routerFacts(circuit) },
  };
}

/** Why it ended; a decision that cut it stands in place of the one that allowed it. */
function endFacts(end: CircuitEnd): Partial<EventInput> {
  switch (end.kind) {
    case "ended":
      return {};
    case "truncated":
    case "altered":
      return { errorCode: end.kind, reason: end.reason };
    case "reset":
      return { errorCode: wireCodeName(end.code), reason: `Reset by ${resetters[end.by]}.` };
    case "revoked":
      return { errorCode: end.decision.code, ...decisionFacts(end.decision) };
    case "expired":
      return { errorCode: "expired", reason: "A certificate's life is over." };
  }
}

const resetters = { self: "this end", peer: "the other end", router: "the router" } as const;

function routerFacts(circuit: Circuit): Record<string, string> {
  return { router_decision_id: circuit.routerDecisionId, router_slice_version: String(circuit.sliceVersion) };
}

/** What a router passed on as policy, and no honest one would have: who acted is the router, by its certificate. */
export function policyRefused({ routerId, error }: PolicyLie, vantage: CircuitRole, unrecorded: number): EventInput {
  return {
    kind: "policy.refused",
    vantage,
    actorId: routerId,
    routerId,
    outcome: "denied",
    errorCode: error.code,
    reason: error.message,
    attributes: unrecorded === 0 ? {} : { unrecorded: String(unrecorded) },
  };
}

export type RefusedCircuit =
  /** This end's own dial. */
  | { readonly role: "dialer"; readonly service: string; readonly protocol: string; readonly own: Svid }
  /** A dial that the router brought to this host, `dialerId` being its word. */
  | {
      readonly role: "host";
      readonly service: string;
      readonly protocol: string;
      readonly own: Svid;
      readonly circuitId: string;
      readonly dialerId: string;
    };

/** A circuit that this end did not let come to be, or did not get: `denied` when somebody said no, else `error`. */
export function circuitRefused(circuit: RefusedCircuit, why: ConnectorError): EventInput {
  const { refusal } = why;
  return {
    kind: "circuit.refused",
    vantage: circuit.role,
    ...(circuit.role === "dialer" ? actorFacts(circuit.own) : claimedActor(circuit.dialerId)),
    service: circuit.service,
    protocol: circuit.protocol,
    hostId: circuit.role === "host" ? circuit.own.identity.id.uri : "",
    circuitId: circuit.role === "host" ? circuit.circuitId : "",
    ...(refusal === undefined ? { reason: why.message } : refusedBy(refusal)),
    outcome: (refusal === undefined ? deniedCodes.has(why.code) : isDenial(refusal)) ? "denied" : "error",
    errorCode: refusal?.code ?? why.code,
  };
}

/** What this end refuses by itself, policy or not. */
const deniedCodes: ReadonlySet<string> = new Set(["PEER_MISMATCH", "PEER_NOT_ALLOWED", "BINDING_MISMATCH"]);

function refusedBy(refusal: Refusal): Partial<EventInput> {
  const { message, decisionId, ruleIds, sliceVersion } = refusal;
  return { reason: message, decision: isDenial(refusal) ? "deny" : "", decisionId, ruleIds, sliceVersion };
}

/** A decision against it. Behind NO_HOST stands one for it. */
function isDenial({ code, decisionId }: Refusal): boolean {
  return decisionId !== "" && code !== "NO_HOST";
}

function claimedActor(dialerId: string): Partial<EventInput> {
  try {
    return { actorId: dialerId, actorName: recordedName(identityOf(parseSpiffeId(dialerId))) };
  } catch {
    return { actorId: dialerId };
  }
}
