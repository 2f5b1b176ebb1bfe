/** What enrollment puts on record. Kinds are those of audit.proto. Neither tokens nor secrets are in here: a token's id is no secret. */
import { actorFacts, type EventInput } from "@sallyport/audit-log";
import { checkLeaf, type SpiffeId } from "@sallyport/identity";
import type { Peer } from "@sallyport/mtls";
import type { Enrolled } from "./domain/redeem.ts";
import type { Renewed } from "./domain/renew.ts";
import type { Token } from "./domain/token.ts";

export function tokenCreated(token: Token, by: Peer): EventInput {
  return {
    kind: "token.created",
    ...actorFacts(by),
    outcome: "ok",
    attributes: {
      token: token.id,
      workload: token.workload,
      expires: new Date(token.expiresAtUnixMs).toISOString(),
      key_thumbprint: token.keyThumbprint,
    },
  };
}

export function workloadEnrolled({ id, certificateChain, token }: Enrolled): EventInput {
  return {
    kind: "workload.enrolled",
    actorId: id.uri,
    actorName: token.workload,
    actorSerial: serialOf(certificateChain),
    outcome: "ok",
    attributes: { token: token.id, token_created_by: token.createdBy },
  };
}

export function workloadRenewed(id: SpiffeId, name: string, { certificateChain, generation }: Renewed): EventInput {
  return {
    kind: "workload.renewed",
    actorId: id.uri,
    actorName: name,
    actorSerial: serialOf(certificateChain),
    outcome: "ok",
    attributes: { generation: String(generation) },
  };
}

/** @param about.unrecorded refusals by the rate limit since the last event of this kind */
export function enrollmentRefused(about: {
  /** Who renews; null for a stranger who enrolls. */
  readonly caller: Peer | null;
  readonly tokenId: string;
  /** Of the token with that id, whether or not the caller knew its secret. Empty: there is no such token, or nobody came to look. */
  readonly workload: string;
  readonly code: string;
  readonly reason: string;
  readonly unrecorded: number;
}): EventInput {
  const { caller, tokenId, workload, code, reason, unrecorded } = about;
  return {
    kind: "enrollment.refused",
    ...(caller === null ? {} : actorFacts(caller)),
    // Of all that can be wrong, the deny-list is what policy says.
    decision: code === "IDENTITY_REVOKED" ? "deny" : "",
    outcome: "denied",
    errorCode: code,
    reason,
    attributes: {
      ...(tokenId === "" ? {} : { token: tokenId }),
      ...(workload === "" ? {} : { workload }),
      ...(workload !== "" && code === "TOKEN_UNKNOWN" ? { secret: "wrong" } : {}),
      ...(unrecorded === 0 ? {} : { rate_limited: String(unrecorded) }),
    },
  };
}

function serialOf([leaf]: readonly Buffer[]): string {
  return leaf === undefined ? "" : checkLeaf(leaf).serial;
}
