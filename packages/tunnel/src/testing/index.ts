export { type PeerFrame, ScriptedPeer } from "./scripted-peer.ts";
export { type ComplianceCase, type ComplianceSubject, tunnelCompliance } from "./tunnel-compliance.ts";
export { type Violation, violations } from "./violations.ts";
