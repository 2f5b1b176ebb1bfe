import { HostHealth, type Host, type HostGone } from "@sallyport/proto/router";
import type { HostEntry } from "../domain/host-entry.ts";

const health = {
  unknown: HostHealth.HOST_HEALTH_UNKNOWN,
  up: HostHealth.HOST_HEALTH_UP,
  down: HostHealth.HOST_HEALTH_DOWN,
} as const;

export function hostMessage(entry: HostEntry): Host {
  return {
    ...hostGoneMessage(entry),
    sinceUnixMs: entry.sinceUnixMs,
    cost: entry.cost,
    precedence: entry.precedence,
    health: health[entry.health.kind],
    healthReason: entry.health.kind === "down" ? entry.health.reason : "",
    lastUpUnixMs: entry.lastUpUnixMs,
    viaRouterId: entry.party.routerId ?? "",
    circuits: entry.circuits + entry.circuitsElsewhere,
  };
}

export function hostGoneMessage({ service, party, port }: HostEntry): HostGone {
  return { service, spiffeId: party.identity.id.uri, tunnelId: port.portId };
}
