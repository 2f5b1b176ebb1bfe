import type { Event } from "@sallyport/proto/audit";
import { AuditLogError } from "./errors.ts";
import { COUNT_FIELDS, TEXT_FIELDS } from "./event.ts";
import {
  MAX_ARGUMENTS_BYTES,
  MAX_ATTRIBUTES,
  MAX_ATTRIBUTE_BYTES,
  MAX_CLOCK_AHEAD_MS,
  MAX_RESULT_PREVIEW_BYTES,
  MAX_RULE_IDS,
  MAX_TEXT_BYTES,
  MAX_TIME_UNIX_MS,
} from "./limits.ts";

const UUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KIND_PATTERN = /^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$/;

/**
 * Refuses an event of a foreign emitter that breaks a rule of `audit.proto`.
 * @param at when the event arrived
 * @throws {AuditLogError} EVENT_INVALID with `field`
 */
export function assertEvent(event: Event, at: Date): void {
  if (!UUID_PATTERN.test(event.eventId)) throw invalid("event_id", "is a lower-case UUID");
  if (!KIND_PATTERN.test(event.kind)) throw invalid("kind", "has the form `<noun>.<past participle>`");
  if (!(event.timeUnixMs >= 0 && event.timeUnixMs <= MAX_TIME_UNIX_MS))
    throw invalid("time_unix_ms", "is before the year 2200");
  if (event.timeUnixMs > at.getTime() + MAX_CLOCK_AHEAD_MS) throw invalid("time_unix_ms", "does not lie in the future");
  if (event.emitterId !== "") throw invalid("emitter_id", "is set by the receiver, never by the emitter");
  for (const field of TEXT_FIELDS) assertText(field, event[field], MAX_TEXT_BYTES);
  for (const field of COUNT_FIELDS) if (!(event[field] >= 0)) throw invalid(field, "is not negative");
  assertText("arguments_json", event.argumentsJson, MAX_ARGUMENTS_BYTES);
  assertText("result_preview", event.resultPreview, MAX_RESULT_PREVIEW_BYTES);
  if (event.ruleIds.length > MAX_RULE_IDS) throw invalid("rule_ids", `has at most ${MAX_RULE_IDS} entries`);
  for (const id of event.ruleIds) assertText("rule_ids", id, MAX_ATTRIBUTE_BYTES);
  const attributes = Object.entries(event.attributes);
  if (attributes.length > MAX_ATTRIBUTES) throw invalid("attributes", `has at most ${MAX_ATTRIBUTES} entries`);
  for (const entry of attributes) for (const text of entry) assertText("attributes", text, MAX_ATTRIBUTE_BYTES);
}

function assertText(field: string, text: string, maxBytes: number): void {
  if (Buffer.byteLength(text, "utf8") > maxBytes) throw invalid(field, `has at most ${maxBytes} bytes`);
}

function invalid(field: string, rule: string): AuditLogError {
  return new AuditLogError("EVENT_INVALID", `\`${field}\` of an event ${rule}`, { field });
}
