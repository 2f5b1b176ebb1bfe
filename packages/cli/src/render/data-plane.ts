/** What routers tell of their data plane, as lines of tables and as objects of `--json`. Names come from the network. */
import { Precedence } from "@sallyport/proto/tunnel";
import { HostHealth, LinkState, type Circuit, type Host, type Link, type Tunnel } from "@sallyport/proto/router";
import { printable } from "./printable.ts";
import { formatAge, formatBytes, formatMs } from "./quantity.ts";

/** Something on one router. */
export type On<T> = T & { readonly router: string };

/** Enough to tell ids apart; `--json` has the whole. */
const SHORT_ID_CHARACTERS = 8;

function healthWord(health: HostHealth): "up" | "down" | "unknown" {
  if (health === HostHealth.HOST_HEALTH_UP) return "up";
  return health === HostHealth.HOST_HEALTH_DOWN ? "down" : "unknown";
}

export function linkStateWord(state: LinkState): "up" | "draining" | "connecting" {
  if (state === LinkState.LINK_STATE_UP) return "up";
  return state === LinkState.LINK_STATE_DRAINING ? "draining" : "connecting";
}

function precedenceWord(precedence: Precedence): "required" | "default" | "failed" {
  if (precedence === Precedence.PRECEDENCE_REQUIRED) return "required";
  return precedence === Precedence.PRECEDENCE_FAILED ? "failed" : "default";
}

/** `agent/3f2a91c0` of `spiffe://<trust domain>/workload/agent/3f2a91c0`, `router/2` of a router's. */
export function nameOf(spiffeId: string): string {
  return printable(spiffeId.replace(/^spiffe:\/\/[^/]+\/(workload\/)?/, ""));
}

function shortId(id: string): string {
  return printable(id.slice(0, SHORT_ID_CHARACTERS));
}

export function hostJson(host: On<Host>): object {
  return { ...host, health: healthWord(host.health), precedence: precedenceWord(host.precedence) };
}

export function linkJson(link: On<Link>): object {
  return { ...link, state: linkStateWord(link.state) };
}

export const TUNNEL_HEADS: readonly string[] = [
  "ROUTER",
  "WORKLOAD",
  "TUNNEL",
  "FROM",
  "STREAMS",
  "RECEIVED",
  "SENT",
  "QUEUED",
  "ROUND TRIP",
  "FOR",
];

export function tunnelRow(tunnel: On<Tunnel>, now: number): readonly string[] {
  return [
    tunnel.router,
    nameOf(tunnel.spiffeId),
    shortId(tunnel.tunnelId),
    printable(tunnel.remoteAddress),
    String(tunnel.streams),
    formatBytes(tunnel.bytesIn),
    formatBytes(tunnel.bytesOut),
    formatBytes(tunnel.queuedBytes),
    tunnel.roundTripMs === undefined ? "-" : formatMs(tunnel.roundTripMs),
    formatAge(now - tunnel.sinceUnixMs),
  ];
}

export const HOST_HEADS: readonly string[] = [
  "ROUTER",
  "SERVICE",
  "HOSTED BY",
  "STATE",
  "SEEN UP",
  "COST",
  "PRECEDENCE",
  "CIRCUITS",
  "VIA",
  "FOR",
];

export function hostRow(host: On<Host>, now: number): readonly string[] {
  return [
    host.router,
    printable(host.service),
    nameOf(host.spiffeId),
    stateOf(host),
    seenUp(host, now),
    String(host.cost),
    precedenceWord(host.precedence),
    String(host.circuits),
    host.viaRouterId === "" ? "its tunnel" : nameOf(host.viaRouterId),
    formatAge(now - host.sinceUnixMs),
  ];
}

/** `down: the reason`. */
export function stateOf({ health, healthReason }: Pick<Host, "health" | "healthReason">): string {
  const word = healthWord(health);
  return healthReason === "" ? word : `${word}: ${printable(healthReason)}`;
}

/** How old the proof is. */
export function seenUp({ lastUpUnixMs }: Pick<Host, "lastUpUnixMs">, now: number): string {
  return lastUpUnixMs === 0 ? "never" : `${formatAge(now - lastUpUnixMs)} ago`;
}

export const CIRCUIT_HEADS: readonly string[] = [
  "ROUTER",
  "SERVICE",
  "DIALER",
  "HOST",
  "CIRCUIT",
  "FROM DIALER",
  "FROM HOST",
  "FOR",
];

export function circuitRow(circuit: On<Circuit>, now: number): readonly string[] {
  return [
    circuit.router,
    printable(circuit.service),
    nameOf(circuit.dialerId) + by(circuit.dialerRouterId),
    nameOf(circuit.hostId) + by(circuit.hostRouterId),
    shortId(circuit.circuitId),
    formatBytes(circuit.bytesFromDialer),
    formatBytes(circuit.bytesFromHost),
    formatAge(now - circuit.sinceUnixMs),
  ];
}

function by(routerId: string): string {
  return routerId === "" ? "" : ` by ${nameOf(routerId)}`;
}

export const LINK_HEADS: readonly string[] = [
  "ROUTER",
  "TO",
  "STATE",
  "ROUND TRIP",
  "STREAMS",
  "HOSTS",
  "RECEIVED",
  "SENT",
  "QUEUED",
  "FOR",
];

export function linkRow(link: On<Link>, now: number): readonly string[] {
  const state = linkStateWord(link.state);
  return [
    link.router,
    nameOf(link.routerId),
    link.lastFailure === "" ? state : `${state}: ${printable(link.lastFailure)}`,
    link.roundTripMs === undefined ? "-" : formatMs(link.roundTripMs),
    String(link.streams),
    String(link.hosts),
    formatBytes(link.bytesIn),
    formatBytes(link.bytesOut),
    formatBytes(link.queuedBytes),
    formatAge(now - link.sinceUnixMs),
  ];
}
