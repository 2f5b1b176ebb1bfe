import type { Clause, Expr, PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { mentionsContext } from "./rule-tree.ts";

// What a rule comes to when the arguments of the call are not known yet. What does not read them is kept exactly; what does is assumed to
// turn out in the caller's favour: true in a permit, false in a forbid. A tool that such rules refuse is refused with any arguments.

const TRUE: Expr = { Value: true };
const FALSE: Expr = { Value: false };

/** The rule without its argument conditions; annotations are dropped, since Cedar does not need them. */
export function optimisticRule(rule: PolicyJson): PolicyJson {
  const favour = rule.effect === "permit" ? atBest : atWorst;
  const against = rule.effect === "permit" ? atWorst : atBest;
  const conditions = rule.conditions.map((clause): Clause =>
    clause.kind === "when"
      ? { kind: "when", body: favour(clause.body) }
      : { kind: "unless", body: against(clause.body) },
  );
  return { effect: rule.effect, principal: rule.principal, action: rule.action, resource: rule.resource, conditions };
}

/** True wherever some arguments could make the expression true. */
function atBest(expression: Expr): Expr {
  return bound(expression, atBest, atWorst, TRUE);
}

/** True only where all arguments make the expression true. */
function atWorst(expression: Expr): Expr {
  return bound(expression, atWorst, atBest, FALSE);
}

function bound(expression: Expr, same: (e: Expr) => Expr, opposite: (e: Expr) => Expr, unknown: Expr): Expr {
  if (!mentionsContext(expression)) return expression;
  const operands = connective(expression);
  switch (operands?.kind) {
    case "and":
      return { "&&": { left: same(operands.left), right: same(operands.right) } };
    case "or":
      return { "||": { left: same(operands.left), right: same(operands.right) } };
    case "not":
      return { "!": { arg: opposite(operands.arg) } };
    case undefined:
      return unknown;
  }
}

type Connective =
  | { readonly kind: "and" | "or"; readonly left: Expr; readonly right: Expr }
  | { readonly kind: "not"; readonly arg: Expr };

/** Extension calls are open records in the types of cedar-wasm, so a key alone does not narrow: the shape is looked at as well. */
function connective(expression: Expr): Connective | undefined {
  for (const [key, kind] of [
    ["&&", "and"],
    ["||", "or"],
  ] as const) {
    const pair: unknown = Reflect.get(expression, key);
    if (isPair(pair)) return { kind, left: pair.left, right: pair.right };
  }
  const negation: unknown = Reflect.get(expression, "!");
  return isUnary(negation) ? { kind: "not", arg: negation.arg } : undefined;
}

function isPair(value: unknown): value is { left: Expr; right: Expr } {
  return typeof value === "object" && value !== null && "left" in value && "right" in value;
}

function isUnary(value: unknown): value is { arg: Expr } {
  return typeof value === "object" && value !== null && "arg" in value;
}
