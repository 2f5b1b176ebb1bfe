import type { Service, Workload } from "@sallyport/proto/policy";
import { WORKLOAD_TYPE } from "./entity-uid.ts";
import { mayConcern } from "./principal-scope.ts";
import type { Rule } from "./rule.ts";
import { RuleEngine } from "./rule-engine.ts";
import { namedEntities, readsPrincipalAttribute } from "./rule-tree.ts";

/** Who can reach a service. */
export interface ServiceReach {
  /** May dial or host, in the order that was given. */
  readonly workloads: readonly Workload[];
  readonly hasDialer: boolean;
  readonly hasHost: boolean;
}

interface Answer {
  readonly dial: boolean;
  readonly host: boolean;
}

const NEITHER: Answer = { dial: false, host: false };

/**
 * Exact, since dial and host depend on nothing but the two entities. Workloads that no permit's scope names are not evaluated, and those
 * that no rule can tell apart are evaluated once.
 */
export function serviceReach(service: Service, rules: readonly Rule[], workloads: readonly Workload[]): ServiceReach {
  using engine = new RuleEngine(Object.fromEntries(rules.map((rule) => [rule.id, rule.text])));
  const allows = (workload: Workload, action: "dial" | "host"): boolean =>
    engine.ask(workload, service, { action }).kind === "allow";
  const permits = rules.filter((rule) => rule.json.effect === "permit");
  const distinct = distinctWorkloads(rules);
  const answers = new Map<string, Answer>();
  const answerFor = (workload: Workload): Answer => {
    if (!permits.some((rule) => mayConcern(rule.json, workload))) return NEITHER;
    const key = `${distinct(workload.name) ? workload.name : ""}: ${workload.roles.join(" ")}`;
    const answer = answers.get(key) ?? { dial: allows(workload, "dial"), host: allows(workload, "host") };
    answers.set(key, answer);
    return answer;
  };
  const reaching = workloads.filter((workload) => {
    const { dial, host } = answerFor(workload);
    return dial || host;
  });
  const given = [...answers.values()];
  return { workloads: reaching, hasDialer: given.some(({ dial }) => dial), hasHost: given.some(({ host }) => host) };
}

/** Whether rules can tell the workload of a name from one of the same roles: by naming it, or by what they read of any principal. */
function distinctWorkloads(rules: readonly Rule[]): (name: string) => boolean {
  if (rules.some((rule) => readsPrincipalAttribute(rule.json))) return () => true;
  const entities = rules.flatMap((rule) => namedEntities(rule.json));
  const named = new Set(entities.filter(({ type }) => type === WORKLOAD_TYPE).map(({ id }) => id));
  return (name) => named.has(name);
}
