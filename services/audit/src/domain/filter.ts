import type { Event, Filter } from "@sallyport/proto/audit";
import { AuditError } from "../errors.ts";

/** A filter that was checked, its words apart. */
export interface CheckedFilter {
  /** Conditions of equality that are given, by field. */
  readonly equal: readonly (readonly [EqualField, string])[];
  /** Inclusive; null: unbounded. */
  readonly sinceUnixMs: number | null;
  readonly untilUnixMs: number | null;
  /** Null: any rules, or none. */
  readonly ruleId: string | null;
  /** In lower case; each must occur in arguments, result, reason or attributes. */
  readonly words: readonly string[];
}

const EQUAL_FIELDS = [
  "actorName",
  "actorId",
  "hostId",
  "service",
  "tool",
  "kind",
  "decision",
  "decisionId",
  "circuitId",
  "vantage",
  "outcome",
  "errorCode",
] as const;
type EqualField = (typeof EQUAL_FIELDS)[number];

const MAX_TEXT_BYTES = 1_024;
const MAX_WORDS = 16;

/** @throws {AuditError} FILTER_INVALID with `field` */
export function checkFilter(filter: Filter | undefined): CheckedFilter {
  if (filter === undefined) return { equal: [], ruleId: null, sinceUnixMs: null, untilUnixMs: null, words: [] };
  const equal = EQUAL_FIELDS.map((field) => [field, filter[field]] as const).filter(([, value]) => value !== "");
  for (const [field, value] of [...equal, ["text", filter.text] as const, ["ruleId", filter.ruleId] as const]) {
    if (Buffer.byteLength(value) > MAX_TEXT_BYTES) throw invalid(field, `has at most ${MAX_TEXT_BYTES} bytes`);
  }
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length > MAX_WORDS) throw invalid("text", `has at most ${MAX_WORDS} words`);
  const { sinceUnixMs, untilUnixMs } = filter;
  if (!(sinceUnixMs >= 0)) throw invalid("sinceUnixMs", "is not negative");
  if (!(untilUnixMs >= 0)) throw invalid("untilUnixMs", "is not negative");
  if (untilUnixMs !== 0 && sinceUnixMs > untilUnixMs) throw invalid("untilUnixMs", "is not before `since_unix_ms`");
  return {
    equal,
    ruleId: filter.ruleId === "" ? null : filter.ruleId,
    sinceUnixMs: sinceUnixMs === 0 ? null : sinceUnixMs,
    untilUnixMs: untilUnixMs === 0 ? null : untilUnixMs,
    words,
  };
}

/** The same question to one event that the store answers for all. */
export function matches(event: Event, filter: CheckedFilter): boolean {
  if (filter.sinceUnixMs !== null && event.timeUnixMs < filter.sinceUnixMs) return false;
  if (filter.untilUnixMs !== null && event.timeUnixMs > filter.untilUnixMs) return false;
  if (!filter.equal.every(([field, value]) => event[field] === value)) return false;
  if (filter.ruleId !== null && !event.ruleIds.includes(filter.ruleId)) return false;
  if (filter.words.length === 0) return true;
  const { argumentsJson, resultPreview, reason, attributes } = event;
  const text = [argumentsJson, resultPreview, reason, ...Object.values(attributes)].join("\n").toLowerCase();
  return filter.words.every((word) => text.includes(word));
}

function invalid(field: string, rule: string): AuditError {
  const name = field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return new AuditError("FILTER_INVALID", `\`filter.${name}\` ${rule}`, { field: `filter.${name}` });
}
