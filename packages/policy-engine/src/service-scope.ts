import type { PolicyJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { SERVICE_TYPE, serviceOfTool, TOOL_TYPE } from "./entity-uid.ts";

/** The services for which a rule can matter. */
type ServiceScope =
  | { readonly kind: "all" }
  | { readonly kind: "one"; readonly service: string }
  | { readonly kind: "none" };

/**
 * By the rule's resource scope alone, which Cedar evaluates before any condition (sound by Cedar's policy slicing theorem): a rule whose
 * scope names another service's resource can neither match nor fail for this one.
 */
function serviceScope(rule: PolicyJson): ServiceScope {
  const { resource } = rule;
  if ("entity" in resource) return scopeOf(resource.entity);
  if (resource.op === "is" && resource.in !== undefined && "entity" in resource.in) return scopeOf(resource.in.entity);
  return { kind: "all" };
}

export function mattersFor(rule: PolicyJson, service: string): boolean {
  const scope = serviceScope(rule);
  return scope.kind === "all" || (scope.kind === "one" && scope.service === service);
}

function scopeOf(uid: TypeAndId | { readonly __entity: TypeAndId }): ServiceScope {
  const { type, id } = "__entity" in uid ? uid.__entity : uid;
  if (type === SERVICE_TYPE) return { kind: "one", service: id };
  const service = type === TOOL_TYPE ? serviceOfTool(id) : null;
  return service === null ? { kind: "none" } : { kind: "one", service };
}
