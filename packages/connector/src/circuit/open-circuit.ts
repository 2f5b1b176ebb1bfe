/**
 * From a stream between two workloads to a circuit. In this order, each end for itself:
 * 1. TLS 1.3 with both SVIDs over the stream; no server name.
 * 2. The proven identity is a workload, and the one that the router named.
 * 3. This end's own policy allows it the role.
 * 4. Both ends prove the same belief about the circuit.
 * Only then is there a Circuit. Whatever fails resets the stream.
 */
import type { TLSSocket } from "node:tls";
import { WireCode } from "@sallyport/frame";
import type { SvidSource } from "@sallyport/identity";
import { connectMtls, type MtlsServer, type Peer } from "@sallyport/mtls";
import type { PolicyState } from "@sallyport/policy-engine";
import type { CircuitBelief, CircuitRole } from "./binding.ts";
import { Circuit, type CircuitCarrier } from "./circuit.ts";
import { exchangeBindings, handshakeFailure } from "./exchange-bindings.ts";
import { decidePeerSoon, requireAllowed, requireClaim } from "./peer-check.ts";

export const circuitAlpn: string = "sallyport-circuit/1";

export interface CircuitPlan extends CircuitBelief {
  readonly carrier: CircuitCarrier;
  readonly circuitId: string;
  readonly routerDecisionId: string;
  /** Who is at the other end, as the router says. */
  readonly claimedPeerId: string;
  readonly policy: PolicyState;
}

const establishTimeoutMs = 10_000;

/** The dialer's end: TLS client. */
export async function openDialerEnd(plan: CircuitPlan, identity: SvidSource, signal?: AbortSignal): Promise<Circuit> {
  return await open(plan, "dialer", signal, async (stops) => {
    const expect = (who: Peer["identity"]): boolean => who.kind === "workload";
    return await connectMtls({
      carrier: plan.carrier,
      identity,
      trust: identity.bundle(),
      alpn: circuitAlpn,
      expect,
      signal: stops,
    });
  });
}

/** The host's end: TLS server, by the one file that has one. */
export async function openHostEnd(plan: CircuitPlan, server: MtlsServer, signal?: AbortSignal): Promise<Circuit> {
  return await open(plan, "host", signal, async (stops) => {
    const { socket, peer } = await server.accept(plan.carrier, stops);
    if (peer === null) throw new TypeError("A circuit's server asks for a certificate.");
    return { socket, peer };
  });
}

async function open(
  plan: CircuitPlan,
  role: CircuitRole,
  signal: AbortSignal | undefined,
  handshake: (signal: AbortSignal) => Promise<{ readonly socket: TLSSocket; readonly peer: Peer }>,
): Promise<Circuit> {
  const timeout = AbortSignal.timeout(establishTimeoutMs);
  const stops = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const { carrier, policy, service, sliceVersion } = plan;
  carrier.on("error", () => undefined);
  const peerRole: CircuitRole = role === "dialer" ? "host" : "dialer";
  try {
    const { socket, peer } = await handshake(stops);
    socket.on("error", () => undefined);
    requireClaim(plan.claimedPeerId, peer);
    const decision = await decidePeerSoon(policy, peerRole, peer, service, sliceVersion, stops);
    requireAllowed(decision, peer, peerRole, service);
    const rest = await exchangeBindings(socket, role, plan, stops);
    const { circuitId, routerDecisionId } = plan;
    return new Circuit(
      socket,
      carrier,
      { circuitId, service, role, peer, sliceVersion, routerDecisionId, decision },
      rest,
    );
  } catch (error) {
    carrier.reset(WireCode.cancelled);
    if (signal?.aborted === true) throw error;
    throw handshakeFailure(error);
  }
}
