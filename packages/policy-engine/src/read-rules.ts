import type { PolicyDocument } from "@sallyport/proto/policy";
import { MAX_RULES } from "./limits.ts";
import { PolicyError } from "./policy-error.ts";
import { readRule, type WrittenRule } from "./rule.ts";
import { positionIn, splitStatements } from "./statement.ts";

/**
 * All rules of a document by id, in the order of their files' names.
 * @throws {PolicyError} POLICY_SYNTAX, POLICY_INVALID, LIMIT_EXCEEDED, each with its place
 */
export function readRules(document: PolicyDocument): Map<string, WrittenRule> {
  const rules = new Map<string, WrittenRule>();
  for (const [file, text] of Object.entries(document.cedarFiles).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    for (const statement of splitStatements(file, text)) {
      const rule = readRule(statement);
      const earlier = rules.get(rule.id);
      if (earlier !== undefined) throw duplicateId(rule, earlier);
      rules.set(rule.id, rule);
      if (rules.size <= MAX_RULES) continue;
      throw new PolicyError("LIMIT_EXCEEDED", `more than ${MAX_RULES} rules`, { position: positionIn(statement, 0) });
    }
  }
  return rules;
}

function duplicateId(rule: WrittenRule, earlier: WrittenRule): PolicyError {
  const { file, line } = positionIn(earlier.statement, 0);
  const position = positionIn(rule.statement, 0);
  return new PolicyError("POLICY_INVALID", `the id ${rule.id} already names the rule at ${file}:${line}`, { position });
}
