/** What this router puts on record. One function per kind of event; kinds are those of audit.proto. */
import { actorFacts, decisionFacts, type EventInput } from "@sallyport/audit-log";
import { wireCodeName } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import type { Decision } from "@sallyport/policy-engine";
import type { Refusal } from "@sallyport/proto/tunnel";
import { describeChannelEnd } from "@sallyport/tunnel";
import type { Circuit, CircuitEnd, Kick } from "./domain/circuit.ts";
import type { Dial } from "./domain/dial.ts";
import type { DrainFacts } from "./domain/drain.ts";
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

/** What a probe found; again only after the host was up in between. */
export function hostDown(tunnel: RecordedTunnel, service: string, reason: string): EventInput {
  return { ...hostFacts(tunnel, service), kind: "host.down", reason, outcome: "error", errorCode: "HOST_DOWN" };
}

/** After a `host.down`. */
export function hostUp(tunnel: RecordedTunnel, service: string): EventInput {
  return { ...hostFacts(tunnel, service), kind: "host.up", outcome: "ok" };
}

function hostFacts(tunnel: RecordedTunnel, service: string): Partial<EventInput> {
  return { ...actorFacts(tunnel.peer), ...place(tunnel), service, hostId: tunnel.peer.identity.id.uri };
}

/** What another router announces over a link, and this one's policy does not allow. */
export function announcedHostRefused(
  link: RecordedLink,
  service: string,
  hostId: string,
  decision: Decision,
): EventInput {
  return {
    kind: "host.refused",
    ...actorFacts(link.peer),
    ...linkPlace(link),
    service,
    hostId,
    ...decisionFacts(decision),
    outcome: "denied",
    errorCode: decision.code,
  };
}

/** A link as the record needs it. */
export interface RecordedLink {
  readonly linkId: string;
  readonly peer: Peer;
  readonly remoteAddress: string;
  readonly direction: "dialed" | "accepted";
}

export function linkOpened(link: RecordedLink, routerEpoch: number): EventInput {
  const { attributes } = linkPlace(link);
  return {
    kind: "link.opened",
    ...actorFacts(link.peer),
    attributes: { ...attributes, router_epoch: String(routerEpoch) },
    tlsGroup: link.peer.tlsGroup ?? "",
    outcome: "ok",
  };
}

export function linkClosed(link: RecordedLink, end: TunnelEnd, durationUs: number): EventInput {
  return { kind: "link.closed", ...actorFacts(link.peer), ...linkPlace(link), durationUs, ...tunnelEndFacts(end) };
}

/** A link that never was: `peer` is known when the handshake proved it. */
export function linkRefused(facts: {
  readonly remoteAddress: string;
  readonly code: string;
  readonly reason: string;
  readonly peer: Peer | null;
  /** Refusals that were not recorded since the last one that was. */
  readonly unrecorded: number;
}): EventInput {
  return { ...tunnelRefused(facts), kind: "link.refused" };
}

function linkPlace({ linkId, remoteAddress, direction }: RecordedLink): Pick<EventInput, "attributes"> {
  return { attributes: { link: linkId, remote_address: remoteAddress, direction } };
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

/** Whoever ordered it is the actor. Again for each order that moved the deadline. */
export function routerDraining(drain: DrainFacts, running: Running): EventInput {
  return { kind: "router.draining", ...drainEventFacts(drain, running) };
}

/** `running` is what had to be ended. */
export function routerDrained(drain: DrainFacts, running: Running): EventInput {
  return { kind: "router.drained", ...drainEventFacts(drain, running) };
}

interface Running {
  readonly tunnels: number;
  readonly circuits: number;
}

function drainEventFacts(
  { askedBy, reason, sinceUnixMs, deadlineUnixMs }: DrainFacts,
  { tunnels, circuits }: Running,
): Partial<EventInput> {
  return {
    ...actorFacts(askedBy),
    reason,
    outcome: "ok",
    durationUs: (Date.now() - sinceUnixMs) * 1_000,
    attributes: {
      deadline: new Date(deadlineUnixMs).toISOString(),
      tunnels: String(tunnels),
      circuits: String(circuits),
    },
  };
}

function kickFacts({ askedBy, reason }: Kick): Partial<EventInput> {
  const why = reason === "" ? "" : `: ${reason}`;
  return { outcome: "disconnected", errorCode: "KICKED", reason: `Ended by ${askedBy}${why}` };
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
    case "shed":
      return {
        outcome: "error",
        errorCode: "OVERLOADED",
        reason: `Too many bytes waited for the link to ${end.routerId}.`,
      };
    case "cut": {
      const { code: errorCode, reason, decision } = end;
      return { outcome: "revoked", errorCode, reason, ...(decision === null ? {} : decisionFacts(decision)) };
    }
    case "overgranted":
      return {
        outcome: "error",
        errorCode: "OVERLOADED",
        reason: `Too much waited for the ${end.side}, which granted more than it read.`,
      };
    case "drained":
      return {
        outcome: "disconnected",
        errorCode: "DRAINED",
        reason: "The router drained, and its deadline came first.",
      };
    case "kicked":
      return kickFacts(end.kick);
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
    case "unresponsive":
      return { outcome: "disconnected", errorCode: "UNRESPONSIVE", reason: end.reason };
    case "superseded":
      return { outcome: "disconnected", reason: "The router began anew, and has another link." };
    case "no-hello":
      return { outcome: "error", errorCode: "PROTOCOL", reason: "No HELLO came in time." };
    case "kicked":
      return kickFacts(end.kick);
  }
}

function place(tunnel: RecordedTunnel): Partial<EventInput> {
  return { attributes: { tunnel: tunnel.tunnelId, remote_address: tunnel.remoteAddress } };
}
