import type { PolicyDocument } from "@sallyport/proto/policy";
import { ROLE_TYPE, SERVICE_TYPE, serviceOfTool, TOOL_TYPE, WORKLOAD_TYPE } from "./entity-uid.ts";
import type { WrittenRule } from "./rule.ts";
import { namedEntities } from "./rule-tree.ts";
import type { ServiceReach } from "./service-reach.ts";
import { positionIn } from "./statement.ts";

/** What is probably not meant, but does no harm by itself: every such name simply never matches. */
export function warningsAbout(
  document: PolicyDocument,
  rules: ReadonlyMap<string, WrittenRule>,
  reaches: ReadonlyMap<string, ServiceReach>,
): string[] {
  const unreached = [...reaches].flatMap(([service, reach]) => withoutDialerOrHost(service, reach));
  return [...unknownNames(document, rules), ...unreached];
}

function unknownNames(document: PolicyDocument, rules: ReadonlyMap<string, WrittenRule>): string[] {
  const workloads = new Set(document.workloads.map(({ name }) => name));
  const roles = new Set(document.workloads.flatMap((workload) => workload.roles));
  const services = new Set(document.services.map(({ name }) => name));
  const warnings = new Set<string>();
  for (const rule of rules.values()) {
    for (const { type, id } of namedEntities(rule.json)) {
      const complaint = complain(type, id);
      if (complaint === null) continue;
      const { file, line } = positionIn(rule.statement, 0);
      warnings.add(`${file}:${line}: rule ${rule.id}: ${complaint}`);
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

function withoutDialerOrHost(service: string, { hasDialer, hasHost }: ServiceReach): string[] {
  const missing = [...(hasDialer ? [] : ["dial"]), ...(hasHost ? [] : ["host"])];
  return missing.map((action) => `no workload may ${action} the service ${service}`);
}
