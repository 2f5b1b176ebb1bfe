import type { PolicyDocument, Slice } from "@sallyport/proto/policy";
import { ROLE_TYPE, SERVICE_TYPE, serviceOfTool, TOOL_TYPE, WORKLOAD_TYPE } from "./entity-uid.ts";
import type { WrittenRule } from "./rule.ts";
import { RuleEngine } from "./rule-engine.ts";
import { namedEntities } from "./rule-tree.ts";
import { positionIn } from "./statement.ts";

/** What is probably not meant, but does no harm by itself: every such name simply never matches. */
export function warningsAbout(
  document: PolicyDocument,
  rules: ReadonlyMap<string, WrittenRule>,
  slices: ReadonlyMap<string, Slice>,
): string[] {
  return [...unknownNames(document, rules), ...withoutHostOrDialer(slices)];
}

function unknownNames(document: PolicyDocument, rules: ReadonlyMap<string, WrittenRule>): string[] {
  const workloads = new Set(document.workloads.map(({ name }) => name));
  const roles = new Set(document.workloads.flatMap((workload) => workload.roles));
  const services = new Set(document.services.map(({ name }) => name));
  const warnings = new Set<string>();
  for (const rule of rules.values()) {
    const { file, line } = positionIn(rule.statement, 0);
    for (const { type, id } of namedEntities(rule.json)) {
      const complaint = complain(type, id);
      if (complaint !== null) warnings.add(`${file}:${line}: rule ${rule.id}: ${complaint}`);
    }
  }
  return [...warnings];

  function complain(type: string, id: string): string | null {
    if (type === ROLE_TYPE && !roles.has(id)) return `no workload holds the role ${id}`;
    if (type === WORKLOAD_TYPE && !workloads.has(id)) return `there is no workload ${id}`;
    if (type === SERVICE_TYPE && !services.has(id)) return `there is no service ${id}`;
    if (type !== TOOL_TYPE) return null;
    const service = serviceOfTool(id);
    if (service === null) return `the tool ${JSON.stringify(id)} must be written "<service>/<tool>"`;
    return services.has(service) ? null : `there is no service ${service} for the tool ${id}`;
  }
}

function withoutHostOrDialer(slices: ReadonlyMap<string, Slice>): string[] {
  const warnings: string[] = [];
  for (const slice of slices.values()) {
    using engine = new RuleEngine(slice.policies);
    const service = { name: slice.service, protocol: slice.protocol };
    for (const action of ["dial", "host"] as const) {
      if (slice.workloads.some((workload) => engine.ask(workload, service, { action }).kind === "allow")) continue;
      warnings.push(`no workload may ${action} the service ${slice.service}`);
    }
  }
  return warnings;
}
