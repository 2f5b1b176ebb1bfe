import type { Circuit as CircuitMessage } from "@sallyport/proto/router";
import type { Circuit } from "../domain/circuit.ts";

export function circuitMessage(circuit: Circuit): CircuitMessage {
  const { dialer, host } = circuit;
  return {
    circuitId: circuit.circuitId,
    service: circuit.service,
    dialerId: dialer.identity.id.uri,
    hostId: host.identity.id.uri,
    sinceUnixMs: circuit.sinceUnixMs,
    bytesFromDialer: circuit.dialerLeg.bytes,
    bytesFromHost: circuit.hostLeg.bytes,
    decisionId: circuit.decision.decisionId,
    dialerTunnelId: circuit.dialerPort.portId,
    hostTunnelId: circuit.hostPort.portId,
    dialerRouterId: dialer.routerId ?? "",
    hostRouterId: host.routerId ?? "",
  };
}
