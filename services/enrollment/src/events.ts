/** What enrollment puts on record. Kinds are those of audit.proto. Neither tokens nor secrets are in here: a token's id is no secret. */
import type { EventInput } from "@sallyport/audit-log";
import { checkLeaf, identityOf, parseSpiffeId, type Identity, type SpiffeId } from "@sallyport/identity";
import type { Enrolled } from "./domain/redeem.ts";
import type { Renewed } from "./domain/renew.ts";
import type { Token } from "./domain/token.ts";

export function tokenCreated(token: Token): EventInput {
  return {
    kind: "token.created",
    actorId: token.createdBy,
    actorName: creatorOf(token),
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
  readonly caller: Identity | null;
  readonly tokenId: string;
  readonly code: string;
  readonly reason: string;
  readonly unrecorded: number;
}): EventInput {
  const { caller, tokenId, code, reason, unrecorded } = about;
  return {
    kind: "enrollment.refused",
    ...(caller?.kind === "workload" ? { actorId: caller.id.uri, actorName: caller.name } : {}),
    decision: "deny",
    outcome: "denied",
    errorCode: code,
    reason,
    attributes: {
      ...(tokenId === "" ? {} : { token: tokenId }),
      ...(unrecorded === 0 ? {} : { rate_limited: String(unrecorded) }),
    },
  };
}

function creatorOf({ createdBy }: Token): string {
  const identity = identityOf(parseSpiffeId(createdBy));
  return identity.kind === "bus" ? identity.role : identity.name;
}

function serialOf([leaf]: readonly Buffer[]): string {
  return leaf === undefined ? "" : checkLeaf(leaf).serial;
}
