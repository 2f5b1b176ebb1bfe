import { MAX_OPENING_PAYLOAD_BYTES } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { Refusal } from "@sallyport/proto/tunnel";

/** The codes of a Refusal (tunnel.proto) that a router gives by itself. */
export type RefusalCode =
  | "POLICY_DENIED"
  | "SERVICE_UNKNOWN"
  | "NO_HOST"
  | "HOST_DOWN"
  | "HOST_REFUSED"
  | "IDENTITY_DENIED"
  | "HEAD_STALE"
  | "DRAINING"
  | "OVERLOADED"
  | "PROTOCOL";

/** A refusal without a decision: policy was not asked. */
export function refusal(code: RefusalCode, message: string): Refusal {
  return { code, message, decisionId: "", ruleIds: [], sliceVersion: 0 };
}

/**
 * What the refused workload learns of a decision against it.
 *
 * A rule that forbids by name is told by name. But where nothing permits (no rule, or no such service) the answer is the same either way, or the names
 * of services could be found by asking. The record keeps the difference; the decision id resolves it for who may read the record.
 */
export function refusalOf(decision: Decision, action: "dial" | "host", service: string): Refusal {
  if (!isUnpermitted(decision)) {
    const { code, reason, decisionId, ruleIds, sliceVersion } = decision;
    return bounded({ code, message: reason, decisionId, ruleIds: [...ruleIds], sliceVersion });
  }
  const message = `No policy lets this workload ${action} "${service}", or there is no such service.`;
  return { code: "POLICY_DENIED", message, decisionId: decision.decisionId, ruleIds: [], sliceVersion: 0 };
}

function isUnpermitted(decision: Decision): boolean {
  return decision.code === "SERVICE_UNKNOWN" || (decision.code === "POLICY_DENIED" && decision.ruleIds.length === 0);
}

/** What a host said, passed on within bounds: it is the host's word, and the code says so. */
export function hostRefusal(said: Refusal): Refusal {
  return bounded({
    code: "HOST_REFUSED",
    message: `The host refused: ${said.message.slice(0, 256)}`,
    decisionId: said.decisionId.slice(0, 64),
    ruleIds: said.ruleIds,
    sliceVersion: said.sliceVersion,
  });
}

/** What another router said, passed on within bounds: routers of one trust domain speak with one voice, so the code stays. */
export function routerRefusal(said: Refusal): Refusal {
  return bounded({ ...said, code: said.code.slice(0, 64), message: said.message.slice(0, 512) });
}

/**
 * As it fits one REFUSE, however many rules a host or the authors of policy name: a larger one would end the tunnel of who asked. The decision id
 * resolves what is left out.
 */
function bounded(refusal: Refusal): Refusal {
  if (Refusal.encode(refusal).finish().length <= MAX_OPENING_PAYLOAD_BYTES) return refusal;
  const ruleIds = refusal.ruleIds.slice(0, 8).map((id) => id.slice(0, 64));
  return { ...refusal, message: refusal.message.slice(0, 512), ruleIds };
}
