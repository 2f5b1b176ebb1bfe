import type { Decision, PolicyState, Principal } from "@sallyport/policy-engine";
import type { Refusal } from "@sallyport/proto/tunnel";
import type { Peer } from "@sallyport/mtls";
import { ConnectorError, refusalError } from "../errors.ts";
import type { CircuitRole } from "./binding.ts";

/** How long a decision may wait for policy that is on its way: a slice asked for a moment ago, or a version that the router has already. */
const policyWaitMs = 2_000;

/** Whether the workload at the other end may have that role for the service, by this end's own policy. */
export function decidePeer(policy: PolicyState, peerRole: CircuitRole, peer: Principal, service: string): Decision {
  return peerRole === "dialer" ? policy.decideDial(peer, service) : policy.decideHost(peer, service);
}

/**
 * The same, once policy had the chance to arrive: a decision that lacks the slice, or is older than `sliceVersion`, is taken again at each
 * change. If that version does not come, the router made it up or withholds it, and either way there is no circuit. A version older than this
 * end's own is no matter: this end decides by its own. Throws the signal's reason.
 */
export async function decidePeerSoon(
  policy: PolicyState,
  peerRole: CircuitRole,
  peer: Principal,
  service: string,
  sliceVersion: number,
  signal: AbortSignal,
): Promise<Decision> {
  const { promise, resolve, reject } = Promise.withResolvers<Decision>();
  const attempt = (isLast: boolean): void => {
    const decision = decidePeer(policy, peerRole, peer, service);
    if (!isPremature(decision, sliceVersion)) resolve(decision);
    else if (isLast) resolve(withheld(decision, sliceVersion));
  };
  const onAbort = (): void => reject(signal.reason);
  signal.throwIfAborted();
  const unsubscribe = policy.onChange(() => attempt(false));
  const timer = setTimeout(() => attempt(true), policyWaitMs);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    attempt(false);
    return await promise;
  } finally {
    unsubscribe();
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function isPremature(decision: Decision, sliceVersion: number): boolean {
  if (decision.code === "HEAD_STALE" || decision.code === "SERVICE_UNKNOWN") return true;
  return decision.code !== "IDENTITY_DENIED" && decision.sliceVersion < sliceVersion;
}

/** An allow by policy that is older than what the router says it decided by. */
function withheld(decision: Decision, sliceVersion: number): Decision {
  if (decision.decision === "deny") return decision;
  const reason = `the router decided by slice ${sliceVersion}, which it has not passed on; here is ${decision.sliceVersion}`;
  return { ...decision, decision: "deny", code: "HEAD_STALE", ruleIds: [], reason };
}

function refusalOf(decision: Decision): Refusal {
  const { code, reason, decisionId, ruleIds, sliceVersion } = decision;
  return { code, message: reason, decisionId, ruleIds: [...ruleIds], sliceVersion };
}

/** Throws PEER_NOT_ALLOWED. */
export function requireAllowed(decision: Decision, peer: Peer, peerRole: CircuitRole, service: string): void {
  if (decision.decision === "allow") return;
  const verb = peerRole === "dialer" ? "dial" : "host";
  throw refusalError("PEER_NOT_ALLOWED", `${peer.identity.id.uri} may not ${verb} ${service}`, refusalOf(decision));
}

/** The router's word about the other end must be what the certificate says. Throws PEER_MISMATCH. */
export function requireClaim(claimedId: string, peer: Peer): void {
  if (claimedId === peer.identity.id.uri) return;
  throw new ConnectorError({
    code: "PEER_MISMATCH",
    message: `The router said that ${claimedId === "" ? "nobody" : claimedId} is at the other end, but it is ${peer.identity.id.uri}.`,
    remedy: "Treat the router as faulty or hostile; the audit record names it.",
  });
}
