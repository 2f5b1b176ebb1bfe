export { compilePolicy, encodeSlice, type CompiledPolicy, type PreviousPolicy } from "./compile-policy.ts";
export { createHead, encodeDenyList } from "./create-head.ts";
export type { Decision, DecisionCode, Principal } from "./decision.ts";
export type { DeniedSubject } from "./deny-index.ts";
export {
  DENY_LIST_TYPE,
  HEAD_TYPE,
  openEnvelope,
  sealEnvelope,
  SLICE_TYPE,
  type OpenedEnvelope,
  type PayloadType,
} from "./envelope.ts";
export { MAX_PAYLOAD_BYTES } from "./limits.ts";
export type { PolicyChange } from "./policy-change.ts";
export { PolicyError, type PolicyErrorCode, type PolicyErrorInit, type PolicyPosition } from "./policy-error.ts";
export { readPolicyFolder } from "./policy-folder.ts";
export { PolicyState, type Freshness, type PolicyStateOptions, type PolicyVersions } from "./policy-state.ts";
