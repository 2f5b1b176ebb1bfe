import type { Decision, PolicyState } from "@sallyport/policy-engine";
import { identityOf, parseSpiffeId, type Identity } from "@sallyport/identity";
import type { MtlsServer } from "@sallyport/mtls";
import type { Refusal } from "@sallyport/proto/tunnel";
import type { IncomingStream } from "@sallyport/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import { openHostEnd } from "../circuit/open-circuit.ts";
import { decidePeerSoon } from "../circuit/peer-check.ts";
import { refusalError } from "../errors.ts";
import type { Hosting } from "./hosting.ts";

export const nonceBytes: number = 16;

/**
 * The host's answer to a stream that a router offers. Policy is asked about the dialer that the router names before anything is accepted,
 * and about the one that the handshake proves after it; a host that offers another protocol than policy names takes nobody. Throws whatever kept the circuit from being.
 */
export async function takeIncoming(
  incoming: IncomingStream,
  hosting: Hosting,
  policy: PolicyState,
  server: MtlsServer,
  signal: AbortSignal,
): Promise<Circuit> {
  const { service, circuitNonce, dialerId, sliceVersion, decisionId, circuitId } = incoming.open;
  const stops = AbortSignal.any([incoming.signal, signal]);
  const claimed = workloadOf(dialerId);
  if (claimed === undefined || circuitNonce.length !== nonceBytes) {
    throw refuse(incoming, {
      code: "PROTOCOL",
      message: "the router's OPEN lacks a dialer or a nonce",
      decisionId: "",
      ruleIds: [],
      sliceVersion: 0,
    });
  }
  const principal = { identity: claimed, serial: "", issuers: [] };
  const decision = await decidePeerSoon(policy, "dialer", principal, service, sliceVersion, stops);
  if (decision.decision === "deny") {
    // The dialer learns that this host refused; this host's own record, why.
    const told = hostRefusal(decision);
    throw refuse(incoming, told, { ...told, code: decision.code, message: decision.reason });
  }
  hosting.learn(policy.protocolOf(service) ?? "nothing");
  if (hosting.protocolRefusal !== undefined) throw refuse(incoming, hosting.protocolRefusal);
  const carrier = incoming.accept({ circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" });
  const plan = {
    service,
    nonce: circuitNonce,
    sliceVersion,
    circuitId,
    claimedPeerId: dialerId,
    routerDecisionId: decisionId,
  };
  return await openHostEnd({ ...plan, carrier, policy }, server, signal);
}

function refuse(incoming: IncomingStream, told: Refusal, recorded: Refusal = told): Error {
  incoming.refuse(told);
  return refusalError("PEER_NOT_ALLOWED", `${incoming.open.dialerId} is refused by this host`, recorded);
}

function hostRefusal({ reason, decisionId, ruleIds, sliceVersion }: Decision): Refusal {
  return {
    code: "HOST_REFUSED",
    message: `the host refused: ${reason}`,
    decisionId,
    ruleIds: [...ruleIds],
    sliceVersion,
  };
}

function workloadOf(uri: string): Identity | undefined {
  try {
    const identity = identityOf(parseSpiffeId(uri));
    return identity.kind === "workload" ? identity : undefined;
  } catch {
    return undefined;
  }
}
