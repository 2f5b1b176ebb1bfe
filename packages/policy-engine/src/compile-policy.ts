import { Slice, type PolicyDocument, type Service, type Workload } from "@sallyport/proto/policy";
import { checkDocument } from "./check-document.ts";
import { WORKLOAD_TYPE } from "./entity-uid.ts";
import { MAX_PAYLOAD_BYTES, MAX_RULES } from "./limits.ts";
import { PolicyError } from "./policy-error.ts";
import { readRule, type WrittenRule } from "./rule.ts";
import { RuleEngine } from "./rule-engine.ts";
import { tellsWorkloadsApart } from "./rule-tree.ts";
import { mattersFor } from "./service-scope.ts";
import { positionIn, splitStatements } from "./statement.ts";
import { validateRules } from "./validate-rules.ts";
import { warningsAbout } from "./warnings.ts";

/** What the new document follows. */
export interface PreviousPolicy {
  /** Slices in force; one whose content stays the same keeps its version and its bytes. */
  readonly slices: ReadonlyMap<string, Slice>;
  /** The version of the document that is being compiled. */
  readonly version: number;
  /** The deny-list beside which changed slices must be decided. */
  readonly denyListVersion: number;
}

export interface CompiledPolicy {
  readonly slices: ReadonlyMap<string, Slice>;
  readonly warnings: readonly string[];
}

/**
 * Checks a document whole and cuts it into one slice per service.
 * @throws {PolicyError} POLICY_SYNTAX and POLICY_INVALID with file, line and column where they are in Cedar text; LIMIT_EXCEEDED
 */
export function compilePolicy(document: PolicyDocument, previous: PreviousPolicy): CompiledPolicy {
  checkDocument(document);
  const rules = readRules(document);
  const cedarWarnings = validateRules(rules);
  const slices = new Map<string, Slice>();
  for (const service of document.services.toSorted(byName)) {
    slices.set(service.name, sliceOf(service, rules, document.workloads, previous));
  }
  return { slices, warnings: [...cedarWarnings, ...warningsAbout(document, rules, slices)] };
}

/** The bytes that are signed and whose digest the head names: equal slices have equal bytes. */
export function encodeSlice(slice: Slice): Uint8Array {
  return Slice.encode(slice).finish();
}

function readRules(document: PolicyDocument): Map<string, WrittenRule> {
  const rules = new Map<string, WrittenRule>();
  for (const [file, text] of Object.entries(document.cedarFiles).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    for (const statement of splitStatements(file, text)) {
      const rule = readRule(statement);
      const position = positionIn(statement, 0);
      const earlier = rules.get(rule.id);
      if (earlier !== undefined) {
        const { file: at, line } = positionIn(earlier.statement, 0);
        throw new PolicyError("POLICY_INVALID", `the id ${rule.id} already names the rule at ${at}:${line}`, {
          position,
        });
      }
      rules.set(rule.id, rule);
      if (rules.size > MAX_RULES) throw new PolicyError("LIMIT_EXCEEDED", `more than ${MAX_RULES} rules`, { position });
    }
  }
  return rules;
}

function sliceOf(
  service: Service,
  rules: ReadonlyMap<string, WrittenRule>,
  workloads: readonly Workload[],
  previous: PreviousPolicy,
): Slice {
  const relevant = [...rules.values()]
    .filter((rule) => mattersFor(rule.json, service.name))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const slice: Slice = {
    service: service.name,
    version: previous.version,
    protocol: service.protocol,
    policies: Object.fromEntries(relevant.map(({ id, text }) => [id, text])),
    workloads: whoCanDialOrHost(service, relevant, workloads),
    needsDenyList: previous.denyListVersion,
  };
  const size = encodeSlice(slice).length;
  if (size > MAX_PAYLOAD_BYTES)
    throw new PolicyError(
      "LIMIT_EXCEEDED",
      `the slice of service ${service.name} has ${size} bytes, more than ${MAX_PAYLOAD_BYTES}`,
    );
  const before = previous.slices.get(service.name);
  return before !== undefined && sameContent(before, slice) ? before : slice;
}

/** Exact, since dial and host depend on nothing but the two entities. Workloads that no rule can tell apart share one evaluation. */
function whoCanDialOrHost(service: Service, rules: readonly WrittenRule[], workloads: readonly Workload[]): Workload[] {
  using engine = new RuleEngine(Object.fromEntries(rules.map((rule) => [rule.id, rule.text])));
  const individual = rules.some((rule) => tellsWorkloadsApart(rule.json, WORKLOAD_TYPE));
  const answers = new Map<string, boolean>();
  const included: Workload[] = [];
  for (const { name, roles } of workloads.toSorted(byName)) {
    const workload: Workload = { name, roles: roles.toSorted() };
    const key = (individual ? [name, ...workload.roles] : workload.roles).join(" ");
    const answer =
      answers.get(key) ?? (allows(engine, workload, service, "dial") || allows(engine, workload, service, "host"));
    answers.set(key, answer);
    if (answer) included.push(workload);
  }
  return included;
}

function allows(engine: RuleEngine, workload: Workload, service: Service, action: "dial" | "host"): boolean {
  return engine.ask(workload, service, { action }).kind === "allow";
}

function sameContent(a: Slice, b: Slice): boolean {
  const content = (slice: Slice): Buffer => Buffer.from(encodeSlice({ ...slice, version: 0, needsDenyList: 0 }));
  return content(a).equals(content(b));
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
