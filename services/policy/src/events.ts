import { actorFacts, type AuditEmitter } from "@sallyport/audit-log";
import type { Peer } from "@sallyport/mtls";
import type { SubjectKind } from "./domain/deny-list.ts";

/** What policy puts on record: who changed what, and which head announced it. */
export class PolicyEvents {
  readonly #audit: Pick<AuditEmitter, "record">;

  constructor(audit: Pick<AuditEmitter, "record">) {
    this.#audit = audit;
  }

  applied(
    by: Peer,
    facts: {
      readonly version: number;
      readonly headSequence: number;
      readonly services: number;
      readonly workloads: number;
    },
  ): void {
    this.#audit.record({
      kind: "policy.applied",
      ...actorFacts(by),
      outcome: "ok",
      attributes: {
        version: String(facts.version),
        head_sequence: String(facts.headSequence),
        services: String(facts.services),
        workloads: String(facts.workloads),
      },
    });
  }

  /** `timeUnixMs`: when it was asked for, so that the cause stands before the cuts that it caused. */
  revoked(
    by: Peer,
    {
      subject,
      reason,
      version,
      timeUnixMs,
    }: {
      readonly subject: SubjectKind;
      readonly reason: string;
      readonly version: number;
      readonly timeUnixMs: number;
    },
  ): void {
    this.#audit.record({
      kind: "identity.revoked",
      timeUnixMs,
      ...actorFacts(by),
      reason,
      outcome: "ok",
      attributes: subjectFacts(subject, version),
    });
  }

  reinstated(by: Peer, subject: SubjectKind, denyListVersion: number): void {
    this.#audit.record({
      kind: "identity.reinstated",
      ...actorFacts(by),
      outcome: "ok",
      attributes: subjectFacts(subject, denyListVersion),
    });
  }
}

function subjectFacts({ $case, value }: SubjectKind, denyListVersion: number): Record<string, string> {
  return { subject_kind: $case, subject: value, deny_list_version: String(denyListVersion) };
}
