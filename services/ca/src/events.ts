/** What the CA puts on record, beside its own issuance log. Kinds are those of audit.proto. */
import { recordedName, type EventInput } from "@sallyport/audit-log";
import { identityOf, parseSpiffeId } from "@sallyport/identity";
import type { Issuance } from "./domain/issuance.ts";

export function svidIssued(issuance: Issuance): EventInput {
  const { spiffeId, serial, requestedBy } = issuance;
  return {
    kind: "svid.issued",
    timeUnixMs: issuance.timeUnixMs,
    actorId: spiffeId,
    actorName: recordedName(identityOf(parseSpiffeId(spiffeId))),
    actorSerial: serial,
    outcome: "ok",
    attributes: {
      issuance: String(issuance.sequence),
      not_after: new Date(issuance.notAfterUnixMs).toISOString(),
      certificate_sha256: issuance.certificateSha256,
      spki_sha256: issuance.spkiSha256,
      issuer_sha256: issuance.issuerSha256,
      requested_by: requestedBy.slice(0, 256),
      request_id: issuance.requestId,
    },
  };
}
