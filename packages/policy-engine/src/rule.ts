import { policyToJson, type DetailedError, type PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { PolicyError } from "./policy-error.ts";
import { positionIn, type Statement } from "./statement.ts";

/** One Cedar policy with the id that decisions and the record name. */
export interface Rule {
  readonly id: string;
  readonly text: string;
  readonly json: PolicyJson;
  /** Of `@reason("...")`: one sentence for whoever is refused or asks why; empty when there is none. */
  readonly reason: string;
}

export interface WrittenRule extends Rule {
  readonly statement: Statement;
}

const RULE_ID = /^[A-Za-z0-9][A-Za-z0-9._/#:-]{0,159}$/;
const MAX_REASON_CHARACTERS = 256;

/** Reads one statement; its id is `@id("...")`, else `<file>#<n>`. */
export function readRule(statement: Statement): WrittenRule {
  const parsed = policyToJson(statement.text);
  if (parsed.type === "failure") throw syntaxError(statement, parsed.errors);
  const annotations = parsed.json.annotations ?? {};
  const id = annotations["id"] ?? `${statement.file}#${statement.number}`;
  const reason = annotations["reason"] ?? "";
  if (!RULE_ID.test(id)) {
    throw new PolicyError("POLICY_INVALID", `the id ${JSON.stringify(id)} cannot name a rule`, {
      position: positionIn(statement, 0),
      remedy: "Use 1 to 160 letters, digits and . _ / # : - in @id, beginning with a letter or digit.",
    });
  }
  if (reason.length > MAX_REASON_CHARACTERS) {
    throw new PolicyError(
      "LIMIT_EXCEEDED",
      `@reason of rule ${id} is longer than ${MAX_REASON_CHARACTERS} characters`,
      { position: positionIn(statement, 0) },
    );
  }
  return { id, text: statement.text, json: parsed.json, reason, statement };
}

/** Reads a rule that arrived in a signed slice, under the id that it has there. */
export function readSealedRule(id: string, text: string): Rule {
  const parsed = policyToJson(text);
  if (parsed.type === "failure") throw new PolicyError("ENVELOPE_INVALID", `rule ${id} of the slice does not parse`);
  return { id, text, json: parsed.json, reason: parsed.json.annotations?.["reason"] ?? "" };
}

function syntaxError(statement: Statement, errors: readonly DetailedError[]): PolicyError {
  const [error] = errors;
  const offset = error?.sourceLocations?.[0]?.start ?? 0;
  const message = error?.message.replace(/^failed to parse policy from string: /, "") ?? "not a policy";
  return new PolicyError("POLICY_SYNTAX", message, {
    position: positionIn(statement, offset),
    remedy:
      error?.help ?? "Each policy is permit or forbid with principal, action and resource, and ends in a semicolon.",
  });
}
