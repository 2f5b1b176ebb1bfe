import type { Slice } from "@sallyport/proto/policy";
import { denial, type Verdict } from "./decision.ts";
import type { EngineAnswer, EnginePrincipal, EngineService } from "./rule-engine.ts";
import { RuleEngine } from "./rule-engine.ts";
import { flattenArguments } from "./flatten-arguments.ts";
import { MAX_TOOL_NAME_CHARACTERS } from "./limits.ts";
import { optimisticRule } from "./optimistic-rule.ts";
import { readSealedRule, type Rule } from "./rule.ts";

/** Answers kept per slice. Tools' names and arguments are the caller's choice, so number and size are bounded. */
const MAX_KEPT_ANSWERS = 4_096;
const MAX_KEPT_KEY_CHARACTERS = 1_024;

/**
 * One verified slice, ready to decide. An answer depends on nothing but the slice, the workload, the action and the flattened arguments, so
 * answers are kept for the slice's life. What changes beside it (deny-list, freshness) is PolicyState's, and asked every time.
 */
export class SliceInForce implements Disposable {
  readonly slice: Slice;
  /** SHA-256 of the payload, lower-case hexadecimal. */
  readonly digest: string;
  readonly #service: EngineService;
  readonly #workloads: ReadonlyMap<string, EnginePrincipal>;
  readonly #rules: ReadonlyMap<string, Rule>;
  readonly #exact: RuleEngine;
  readonly #answers = new Map<string, EngineAnswer>();
  #optimistic: RuleEngine | null = null;

  constructor(slice: Slice, digest: string) {
    this.slice = slice;
    this.digest = digest;
    this.#service = { name: slice.service, protocol: slice.protocol };
    this.#workloads = new Map(slice.workloads.map((workload) => [workload.name, workload]));
    this.#rules = new Map(Object.entries(slice.policies).map(([id, text]) => [id, readSealedRule(id, text)]));
    this.#exact = new RuleEngine(slice.policies);
  }

  decideReach(workload: string, action: "dial" | "host"): Verdict {
    const principal = this.#workloads.get(workload);
    if (principal === undefined) return this.#deny(`${workload} may neither dial nor host ${this.slice.service}`);
    const answer = this.#remember(`${action} ${workload}`, () => this.#exact.ask(principal, this.#service, { action }));
    return this.#verdict(answer, `no rule permits ${workload} to ${action} ${this.slice.service}`);
  }

  decideCall(workload: string, tool: string, args: unknown): Verdict {
    const principal = this.#workloads.get(workload);
    if (principal === undefined) return this.#deny(`${workload} may not reach ${this.slice.service}`);
    if (!isToolName(tool)) return this.#deny("the tool's name is empty, too long or not valid Unicode");
    const flat = flattenArguments(args);
    if (flat.kind === "refused") return this.#deny(flat.reason);
    const { strings, numbers } = flat;
    const answer = this.#remember(JSON.stringify(["call", workload, tool, strings, numbers]), () =>
      this.#exact.ask(principal, this.#service, { action: "callTool", tool, strings, numbers }),
    );
    if (answer.kind !== "deny" || answer.ruleIds.length > 0) return this.#verdict(answer, "");
    const otherwise = this.#withSomeArguments(principal, tool);
    if (otherwise.kind !== "allow")
      return this.#deny(`no rule permits ${workload} to call ${tool} of ${this.slice.service}`);
    return { ...this.#deny(`not with these arguments${this.#because(otherwise.ruleIds)}`), ruleIds: otherwise.ruleIds };
  }

  /** Whether some arguments could be allowed (optimistic-rule.ts). */
  isVisible(workload: string, tool: string): boolean {
    const principal = this.#workloads.get(workload);
    return principal !== undefined && isToolName(tool) && this.#withSomeArguments(principal, tool).kind === "allow";
  }

  [Symbol.dispose](): void {
    this.#exact[Symbol.dispose]();
    this.#optimistic?.[Symbol.dispose]();
    this.#optimistic = null;
  }

  #withSomeArguments(principal: EnginePrincipal, tool: string): EngineAnswer {
    return this.#remember(`tool ${principal.name} ${tool}`, () => {
      this.#optimistic ??= new RuleEngine(
        Object.fromEntries([...this.#rules].map(([id, rule]) => [id, optimisticRule(rule.json)])),
      );
      return this.#optimistic.ask(principal, this.#service, { action: "callTool", tool, strings: {}, numbers: {} });
    });
  }

  #verdict(answer: EngineAnswer, withoutRule: string): Verdict {
    const { ruleIds } = answer;
    const sliceVersion = this.slice.version;
    switch (answer.kind) {
      case "allow":
        return { decision: "allow", ruleIds, sliceVersion, code: "", reason: `permitted by ${ruleIds.join(", ")}` };
      case "deny":
        return { ...this.#deny(ruleIds.length === 0 ? withoutRule : `forbidden${this.#because(ruleIds)}`), ruleIds };
      case "failed":
        return { ...this.#deny(`the rules could not be evaluated (${answer.reason})`), ruleIds };
    }
  }

  #deny(reason: string): Verdict {
    return denial("POLICY_DENIED", reason, this.slice.version);
  }

  /** `: <the first reason that an author gave>`, or nothing. */
  #because(ruleIds: readonly string[]): string {
    const reason = ruleIds.map((id) => this.#rules.get(id)?.reason ?? "").find((text) => text !== "");
    return reason === undefined ? "" : `: ${reason}`;
  }

  #remember(key: string, ask: () => EngineAnswer): EngineAnswer {
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    if (this.#answers.size >= MAX_KEPT_ANSWERS) this.#answers.clear();
    const answer = ask();
    if (key.length <= MAX_KEPT_KEY_CHARACTERS) this.#answers.set(key, answer);
    return answer;
  }
}

function isToolName(tool: string): boolean {
  return tool.length > 0 && tool.length <= MAX_TOOL_NAME_CHARACTERS && tool.isWellFormed();
}
