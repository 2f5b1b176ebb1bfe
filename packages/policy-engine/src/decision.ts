import type { Identity } from "@sallyport/identity";

/** Who asks, as a handshake proved it. A peer of packages/mtls fits. */
export interface Principal {
  readonly identity: Identity;
  /** Of the leaf, lower-case hexadecimal. */
  readonly serial: string;
  /** SHA-256 of each issuing certificate's SubjectPublicKeyInfo, lower-case hexadecimal. */
  readonly issuers: readonly string[];
}

export type DecisionCode =
  /** Allowed. */
  | ""
  | "POLICY_DENIED"
  | "SERVICE_UNKNOWN"
  /** On the deny-list, or no workload of this trust domain. */
  | "IDENTITY_DENIED"
  /** What would decide is missing, withheld or too old. */
  | "HEAD_STALE";

export interface Decision {
  readonly decision: "allow" | "deny";
  /** UUID version 7. */
  readonly decisionId: string;
  /**
   * Allowed: the permits that hold. Denied: the forbids that hold; where none does, the permits that would hold with other arguments; empty
   * when no rule permits it at all.
   */
  readonly ruleIds: readonly string[];
  /** 0 when no slice was asked. */
  readonly sliceVersion: number;
  readonly code: DecisionCode;
  /** One sentence for a person. */
  readonly reason: string;
  /** Microseconds that deciding took. */
  readonly decideUs: number;
}

/** A decision before it has an id and a duration. */
export type Verdict = Pick<Decision, "decision" | "ruleIds" | "sliceVersion" | "code" | "reason">;

export function denial(code: Exclude<DecisionCode, "">, reason: string, sliceVersion = 0): Verdict {
  return { decision: "deny", ruleIds: [], sliceVersion, code, reason };
}
