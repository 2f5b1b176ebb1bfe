import { createHash } from "node:crypto";
import { blockHash } from "@sallyport/audit-log";
import { Event, SignedBlock } from "@sallyport/proto/audit";
import type { AdmittedBlock, RefusedMessage } from "../domain/admit-block.ts";

type Row = Readonly<Record<string, unknown>>;

/** Of a message that was set aside so much is kept; all of one that only the store refused. */
const MAX_QUARANTINED_BYTES = 65_536;
const MAX_REASON = 1_024;

/** 64-bit integers travel as strings: a JSON number is not exact beyond 2^53. */
export function eventRows(block: AdmittedBlock): Row[] {
  return block.events.map((event, index) => ({
    epoch: block.epoch,
    block_number: String(block.number),
    block_index: index,
    stored_at_unix_ms: String(block.message.storedAt.getTime()),
    ...eventRow(event),
  }));
}

export function blockRow(block: AdmittedBlock): Row {
  return {
    emitter_id: block.emitterId,
    epoch: block.epoch,
    number: String(block.number),
    hash: blockHash(block.signed.block).toString("hex"),
    previous: block.previous.toString("hex"),
    event_count: block.events.length,
    received_by: block.receivedBy,
    stream_sequence: String(block.message.streamSequence),
    stored_at_unix_ms: String(block.message.storedAt.getTime()),
    signed_block: Buffer.from(SignedBlock.encode(block.signed).finish()).toString("base64"),
  };
}

export function quarantineRow(refused: RefusedMessage): Row {
  const { data, storedAt, streamSequence, subject } = refused.message;
  return {
    stream_sequence: String(streamSequence),
    stored_at_unix_ms: String(storedAt.getTime()),
    subject,
    code: refused.code,
    reason: refused.reason.slice(0, MAX_REASON),
    received_from: refused.receivedFrom.slice(0, MAX_REASON),
    received_by: refused.receivedBy.slice(0, MAX_REASON),
    message_sha256: createHash("sha256").update(data).digest("hex"),
    message: Buffer.from(refused.code === "STORE_REFUSED" ? data : data.subarray(0, MAX_QUARANTINED_BYTES)).toString(
      "base64",
    ),
  };
}

/** An event out of a row whose columns are named as in `audit.proto`. */
export function eventOf(row: unknown): Event {
  return Event.fromJSON(row);
}

function eventRow(event: Event): Row {
  return Object.fromEntries(
    Object.entries(event).map(([field, value]) => [
      field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      typeof value === "number" ? String(value) : value,
    ]),
  );
}
