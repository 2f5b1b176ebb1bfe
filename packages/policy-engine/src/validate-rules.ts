import { validate, type ValidationError } from "@cedar-policy/cedar-wasm/nodejs";
import { PolicyError, type PolicyPosition } from "./policy-error.ts";
import type { WrittenRule } from "./rule.ts";
import { SCHEMA } from "./schema.ts";
import { positionIn } from "./statement.ts";

/**
 * Cedar's strict validation of all rules against the schema: a rule that passes cannot fail on a type or a missing attribute or tag.
 * @returns warnings, each with its place
 * @throws {PolicyError} POLICY_INVALID with the place of the first error
 */
export function validateRules(rules: ReadonlyMap<string, WrittenRule>): string[] {
  const staticPolicies = Object.fromEntries([...rules.values()].map((rule) => [rule.id, rule.text]));
  const answer = validate({ schema: SCHEMA, policies: { staticPolicies }, validationSettings: { mode: "strict" } });
  if (answer.type === "failure")
    throw new PolicyError("POLICY_INVALID", answer.errors.map((error) => error.message).join("; "));
  const [error] = answer.validationErrors.toSorted((a, b) => compare(locate(rules, a), locate(rules, b)));
  if (error !== undefined) {
    throw new PolicyError("POLICY_INVALID", error.error.message, {
      position: locate(rules, error),
      remedy: error.error.help ?? undefined,
    });
  }
  return answer.validationWarnings.map((warning) => {
    const at = locate(rules, warning);
    return `${at === undefined ? "" : `${at.file}:${at.line}:${at.column}: `}${warning.error.message}`;
  });
}

function locate(
  rules: ReadonlyMap<string, WrittenRule>,
  { policyId, error }: ValidationError,
): PolicyPosition | undefined {
  const rule = rules.get(policyId);
  return rule === undefined ? undefined : positionIn(rule.statement, error.sourceLocations?.[0]?.start ?? 0);
}

/** In the order of reading: by file, then down the file. */
function compare(a: PolicyPosition | undefined, b: PolicyPosition | undefined): number {
  if (a === undefined || b === undefined) return 0;
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}
