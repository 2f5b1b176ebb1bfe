import type { ListCircuitsRequest, ListCircuitsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";

export function listCircuits(switchboard: Switchboard): UnaryHandler<ListCircuitsRequest, ListCircuitsResponse> {
  return async () => ({
    circuits: [...switchboard.circuits.values()].map((circuit) => ({
      circuitId: circuit.circuitId,
      service: circuit.service,
      dialerId: circuit.dialer.identity.id.uri,
      hostId: circuit.host.identity.id.uri,
      sinceUnixMs: circuit.sinceUnixMs,
      bytesFromDialer: circuit.dialerLeg.bytes,
      bytesFromHost: circuit.hostLeg.bytes,
      decisionId: circuit.decision.decisionId,
    })),
  });
}
