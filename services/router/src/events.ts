/** What this router puts on record. One function per kind of event; kinds are those of audit.proto. */
import { actorFacts, decisionFacts, type EventInput } from "@sallyport/audit-log";
import { wireCodeName } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import type { Decision } from "@sallyport/policy-engine";
import type { Refusal } from "@sallyport/proto/tunnel";
import { describeChannelEnd } from "@sallyport/tunnel";
import type { Circuit, CircuitEnd } from "./domain/circuit.ts";
import type { Dial } from "./domain/dial.ts";
import type { Party } from "./domain/party.ts";
import type { TunnelEnd } from "./domain/tunnel-end.ts";

export type Record = (event: EventInput) => void;

/** A tunnel as the record needs it. */
export interface RecordedTunnel {
  readonly tunnelId: string;
  readonly peer: Peer;
  readonly remoteAddress: string;
}

export function tunnelOpened(tunnel: RecordedTunnel): EventInput {
  return {
    kind: "tunnel.opened",
    ...actorFacts(tunnel.peer),
    ...place(tunnel),
    tlsGroup: tunnel.peer.tlsGroup ?? "",
    outcome: "ok",
  };
}

export function tunnelClosed(tunnel: RecordedTunnel, end: TunnelEnd, durationUs: number): EventInput {
  return { kind: "tunnel.closed", ...actorFacts(tunnel.peer), ...place(tunnel), durationUs, ...tunnelEndFacts(end) };
}

/** A tunnel that never was: `peer` is known when the handshake proved it. */
export function tunnelRefused(facts: {
  readonly remoteAddress: string;
  readonly code: string;
  readonly reason: string;
  readonly peer: Peer | null;
  /** Refusals of unproven sources that were not recorded since the last one that was. */
  readonly unrecorded: number;
}): EventInput {
  const { remoteAddress, code, reason, peer, unrecorded } = facts;
  const attributes = { remote_address: remoteAddress, ...(unrecorded === 0 ? {} : { unrecorded: String(unrecorded) }) };
  return {
    kind: "tunnel.refused",
    ...(peer === null ? {} : actorFacts(peer)),
    outcome: "denied",
    errorCode: code,
    reason,
    attributes,
  };
}

export function hostAnnounced(tunnel: RecordedTunnel, service: string, decision: Decision): EventInput {
  return {
    kind: "host.announced",
    ...actorFacts(tunnel.peer),
    ...place(tunnel),
    service,
    ...decisionFacts(decision),
    outcome: "ok",
  };
}

export function hostRefused(tunnel: RecordedTunnel, service: string, decision: Decision): EventInput {
  return {
    kind: "host.refused",
    ...actorFacts(tunnel.peer),
    ...place(tunnel),
    service,
    ...decisionFacts(decision),
    outcome: "denied",
    errorCode: decision.code,
  };
}

export function hostWithdrawn(tunnel: RecordedTunnel, service: string, reason: string): EventInput {
  return { kind: "host.withdrawn", ...actorFacts(tunnel.peer), ...place(tunnel), service, reason, outcome: "ok" };
}

export function circuitOpened(circuit: Circuit, dialUs: number): EventInput {
  return {
    kind: "circuit.opened",
    ...circuitFacts(circuit),
    durationUs: dialUs,
    outcome: "ok",
  };
}

export function circuitRefused(facts: {
  readonly dialer: Party;
  readonly service: string;
  readonly decision: Decision | null;
  /** What the dialer was told. The decision's own code and reason, when there is one, are the record's. */
  readonly refusal: Refusal;
  readonly circuitId: string;
  /** Refusals that were not recorded since the last one that was, where policy was not asked. */
  readonly unrecorded?: number;
}): EventInput {
  const { dialer, service, decision, refusal, circuitId, unrecorded = 0 } = facts;
  const denied = decision !== null && decision.decision === "deny";
  return {
    kind: "circuit.refused",
    ...actorFacts(dialer),
    ...(decision === null ? {} : decisionFacts(decision)),
    service,
    circuitId,
    outcome: denied ? "denied" : "error",
    errorCode: denied ? decision.code : refusal.code,
    reason: denied ? decision.reason : refusal.message,
    attributes: {
      ...(dialer.routerId === null ? {} : { dialer_router: dialer.routerId }),
      ...(refusal.code === "HOST_REFUSED" ? { host_decision_id: refusal.decisionId } : {}),
      ...(unrecorded === 0 ? {} : { unrecorded: String(unrecorded) }),
    },
  };
}

/** A dial that policy allowed and the dialer gave up before it was answered. */
export function circuitAbandoned(dial: Dial): EventInput {
  return {
    kind: "circuit.refused",
    ...actorFacts(dial.dialer),
    ...decisionFacts(dial.decision),
    service: dial.service,
    circuitId: dial.circuitId,
    durationUs: dial.durationUs,
    outcome: "cancelled",
    reason: "The dialer gave up before a host answered.",
  };
}

export function circuitClosed(circuit: Circuit, end: CircuitEnd): EventInput {
  return {
    kind: "circuit.closed",
    ...circuitFacts(circuit),
    bytesSent: circuit.dialerLeg.bytes,
    bytesReceived: circuit.hostLeg.bytes,
    durationUs: circuit.durationUs,
    ...circuitEndFacts(end),
  };
}

/** Who, what, and where its two streams are: the id of a tunnel, or of the link to the router that has the tunnel. */
function circuitFacts(circuit: Circuit): Partial<EventInput> {
  const { circuitId, service, decision, dialer, host, dialerPort, hostPort } = circuit;
  return {
    ...actorFacts(dialer),
    ...decisionFacts(decision),
    service,
    circuitId,
    hostId: host.identity.id.uri,
    tlsGroup: dialer.tlsGroup ?? "",
    attributes: {
      ...(dialer.routerId === null
        ? { dialer_tunnel: dialerPort.portId }
        : { dialer_link: dialerPort.portId, dialer_router: dialer.routerId }),
      ...(host.routerId === null
        ? { host_tunnel: hostPort.portId }
        : { host_link: hostPort.portId, host_router: host.routerId }),
    },
  };
}

function circuitEndFacts(end: CircuitEnd): Partial<EventInput> {
  switch (end.kind) {
    case "ended":
      return { outcome: "ok" };
    case "reset":
      return { outcome: "cancelled", errorCode: wireCodeName(end.wireCode), reason: `The ${end.by} reset the stream.` };
    case "tunnel-gone":
      return { outcome: "disconnected", reason: `The ${end.side}'s tunnel is gone.` };
    case "link-gone":
      return { outcome: "disconnected", reason: `The link to ${end.routerId}, where the ${end.side} is, is gone.` };
    case "cut": {
      const { code: errorCode, reason, decision } = end;
      return { outcome: "revoked", errorCode, reason, ...(decision === null ? {} : decisionFacts(decision)) };
    }
  }
}

function tunnelEndFacts(end: TunnelEnd): Partial<EventInput> {
  switch (end.kind) {
    case "left":
      return { outcome: end.channel.kind === "ended" ? "ok" : "disconnected", reason: describeChannelEnd(end.channel) };
    case "revoked":
      return { outcome: "revoked", errorCode: "IDENTITY_DENIED", reason: end.reason };
    case "expired":
      return { outcome: "disconnected", errorCode: "EXPIRED", reason: "The certificate's life is over." };
    case "drained":
      return { outcome: "ok", reason: "The router drained." };
    case "overflowed":
      return {
        outcome: "error",
        errorCode: "OVERLOADED",
        reason: "Too many bytes waited for a workload that reads too slowly.",
      };
    case "no-hello":
      return { outcome: "error", errorCode: "PROTOCOL", reason: "No HELLO came in time." };
  }
}

function place(tunnel: RecordedTunnel): Partial<EventInput> {
  return { attributes: { tunnel: tunnel.tunnelId, remote_address: tunnel.remoteAddress } };
}
