import { v7 as uuidV7 } from "uuid";
import { Event } from "@sallyport/proto/audit";
import { cutText } from "./cut-text.ts";
import {
  MAX_ARGUMENTS_BYTES,
  MAX_ATTRIBUTES,
  MAX_ATTRIBUTE_BYTES,
  MAX_RESULT_PREVIEW_BYTES,
  MAX_RULE_IDS,
  MAX_TEXT_BYTES,
} from "./limits.ts";

/** What a caller of {@link AuditEmitter.record} tells; everything but the kind has a default. */
export type EventInput = Partial<Event> & { readonly kind: string };

type FieldOf<Value> = { [Name in keyof Event]: Event[Name] extends Value ? Name : never }[keyof Event];

/** Strings of an event that are capped at {@link MAX_TEXT_BYTES}. */
export const TEXT_FIELDS: readonly FieldOf<string>[] = [
  "eventId",
  "kind",
  "vantage",
  "actorId",
  "actorName",
  "actorSerial",
  "service",
  "hostId",
  "circuitId",
  "routerId",
  "protocol",
  "protocolVersion",
  "method",
  "tool",
  "rpcId",
  "callId",
  "argumentsSha256",
  "decision",
  "decisionId",
  "reason",
  "outcome",
  "errorCode",
  "resultSha256",
  "tlsGroup",
];

/** Counts of an event: whole, from 0 to 2^53 - 1. */
export const COUNT_FIELDS: readonly FieldOf<number>[] = [
  "argumentsBytes",
  "sliceVersion",
  "resultBytes",
  "bytesSent",
  "bytesReceived",
  "durationUs",
  "decideUs",
];

/**
 * The event as the emitter signs it: id, time and vantage filled, every cap of `audit.proto` enforced by cutting.
 * `emitter_id` is left empty: whoever receives the block sets it from the signature.
 */
export function completeEvent(input: EventInput, vantage: string, nowUnixMs: number): Event {
  const event = Event.fromPartial({ vantage, ...input });
  event.eventId ||= uuidV7({ msecs: nowUnixMs });
  event.timeUnixMs = Math.min(wholeCount(event.timeUnixMs) || nowUnixMs, nowUnixMs);
  event.emitterId = "";
  for (const field of TEXT_FIELDS) event[field] = cutText(event[field], MAX_TEXT_BYTES);
  for (const field of COUNT_FIELDS) event[field] = wholeCount(event[field]);
  event.argumentsJson = cutText(event.argumentsJson, MAX_ARGUMENTS_BYTES);
  event.resultPreview = cutText(event.resultPreview, MAX_RESULT_PREVIEW_BYTES);
  event.ruleIds = event.ruleIds.slice(0, MAX_RULE_IDS).map((id) => cutText(id, MAX_ATTRIBUTE_BYTES));
  event.attributes = Object.fromEntries(
    Object.entries(event.attributes)
      .slice(0, MAX_ATTRIBUTES)
      .map(([name, value]) => [cutText(name, MAX_ATTRIBUTE_BYTES), cutText(value, MAX_ATTRIBUTE_BYTES)]),
  );
  return event;
}

function wholeCount(value: number): number {
  if (!(value > 0)) return 0;
  return Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER);
}
