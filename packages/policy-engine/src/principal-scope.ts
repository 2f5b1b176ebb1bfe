import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { Workload } from "@sallyport/proto/policy";
import { ROLE_TYPE, WORKLOAD_TYPE } from "./entity-uid.ts";

/** Whether the rule's principal scope, which Cedar evaluates before any condition, leaves room for the workload. */
export function mayConcern(rule: PolicyJson, { name, roles }: Workload): boolean {
  const { principal } = rule;
  const uid =
    "entity" in principal
      ? principal.entity
      : principal.op === "is" && principal.in !== undefined && "entity" in principal.in
        ? principal.in.entity
        : null;
  if (uid === null) return true;
  const { type, id } = "__entity" in uid ? uid.__entity : uid;
  return (type === WORKLOAD_TYPE && id === name) || (type === ROLE_TYPE && roles.includes(id));
}
