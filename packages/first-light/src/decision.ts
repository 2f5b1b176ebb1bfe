import { must } from "./first-light-error.ts";
import type { ExpectedRow } from "./step.ts";

/** What a refusal tells of the decision behind it. */
export interface RefusalDecision {
  readonly decisionId: string;
  readonly ruleIds: readonly string[];
}

/** RFC 9562, version 7. */
const uuidVersion7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Reads `{ decisionId, ruleIds }` of an error's data or a result's `_meta`; fails the step when it is not whole, or not by `rule`. */
export function readDecision(value: unknown, rule: string): RefusalDecision {
  must(isRecord(value), `the refusal carries no decision: ${JSON.stringify(value)}`);
  const { decisionId, ruleIds } = value;
  must(typeof decisionId === "string" && uuidVersion7.test(decisionId), `"${String(decisionId)}" is no decision id`);
  must(Array.isArray(ruleIds) && ruleIds.every((id) => typeof id === "string"), "the refusal names no rule");
  must(ruleIds.includes(rule), `refused by ${ruleIds.join(", ") || "no rule"}, and should be by ${rule}`);
  return { decisionId, ruleIds };
}

/** The host's row of a call that the decision refused. */
export function refusedCall(
  call: { readonly agentName: string; readonly service: string; readonly tool: string },
  { decisionId, ruleIds }: RefusalDecision,
): ExpectedRow["fields"] {
  const { agentName: actorName, service, tool } = call;
  const fixed = { kind: "call.refused", vantage: "host", decision: "deny", outcome: "denied" };
  return { ...fixed, actorName, service, tool, decisionId, ruleIds };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
