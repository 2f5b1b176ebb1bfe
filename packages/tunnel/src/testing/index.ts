export { fuzzBytes, type FuzzKind, type FuzzStep } from "./fuzz-step.ts";
export { type PeerFrame, ScriptedPeer } from "./scripted-peer.ts";
export type { ComplianceCase, ComplianceSubject } from "./compliance-case.ts";
export { tunnelCompliance } from "./tunnel-compliance.ts";
export { type AnswerViolation, answerViolations, type Violation, violations } from "./violations.ts";
export {
  checkCell,
  type ReceivedFrame,
  stateCells,
  type StateCell,
  type StateEffect,
  stateTable,
  type StreamInState,
  type StreamState,
} from "./state-table.ts";
