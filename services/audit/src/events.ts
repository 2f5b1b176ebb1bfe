import type { EventInput } from "@sallyport/audit-log";
import type { RefusedMessage } from "./domain/admit-block.ts";
import type { ChainReport } from "./domain/chain-book.ts";

/** A message was set aside. */
export function blockQuarantined(refused: RefusedMessage): EventInput {
  const { code, reason, receivedFrom, receivedBy, message } = refused;
  return {
    kind: "block.quarantined",
    actorId: receivedFrom,
    outcome: "error",
    errorCode: code,
    reason,
    attributes: { received_by: receivedBy, subject: message.subject, stream_sequence: String(message.streamSequence) },
  };
}

/** An emitter's chain of blocks does not hold together: something was withheld, lost or made up. */
export function chainBroken({ emitterId, epoch, number, finding }: ChainReport): EventInput {
  const range =
    finding.kind === "gap" ? { first_missing: String(finding.first), last_missing: String(finding.last) } : {};
  return {
    kind: "chain.broken",
    actorId: emitterId,
    outcome: "error",
    errorCode: finding.kind === "gap" ? "BLOCKS_MISSING" : "PREVIOUS_MISMATCH",
    attributes: { epoch, number: String(number), ...range },
  };
}
