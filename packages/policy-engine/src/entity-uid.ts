import type { TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";

/** The actions that policies decide. */
export type PolicyAction = "dial" | "host" | "callTool";

export const ROLE_TYPE = "Sallyport::Role";
export const WORKLOAD_TYPE = "Sallyport::Workload";
export const SERVICE_TYPE = "Sallyport::Service";
export const TOOL_TYPE = "Sallyport::Tool";

export function actionUid(action: PolicyAction): TypeAndId {
  return { type: "Sallyport::Action", id: action };
}

export function roleUid(role: string): TypeAndId {
  return { type: ROLE_TYPE, id: role };
}

export function workloadUid(name: string): TypeAndId {
  return { type: WORKLOAD_TYPE, id: name };
}

export function serviceUid(service: string): TypeAndId {
  return { type: SERVICE_TYPE, id: service };
}

/** Service names have no slash, so the first one parts the two whatever the tool is called. */
export function toolUid(service: string, tool: string): TypeAndId {
  return { type: TOOL_TYPE, id: `${service}/${tool}` };
}

/** The service part of a tool's entity id; null when the id has not the form `<service>/<tool>`. */
export function serviceOfTool(id: string): string | null {
  const slash = id.indexOf("/");
  return slash > 0 && slash < id.length - 1 ? id.slice(0, slash) : null;
}
