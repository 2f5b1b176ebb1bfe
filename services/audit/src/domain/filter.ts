import type { Event, Filter } from "@sallyport/proto/audit";
import { AuditError } from "../errors.ts";

/** A filter that was checked, its words apart. */
export interface CheckedFilter {
  /** Conditions of equality that are given, by field. */
  readonly equal: readonly (readonly [EqualField, string])[];
  /** Inclusive; null: unbounded. */
  readonly sinceUnixMs: number | null;
  readonly untilUnixMs: number | null;
  /** In lower case; each must occur in arguments, result or reason. */
  readonly words: readonly string[];
}

type EqualField = "actorName" | "service" | "tool" | "kind" | "decision" | "decisionId" | "circuitId" | "vantage";

const EQUAL_FIELDS: readonly EqualField[] = [
  "actorName",
  "service",
  "tool",
  "kind",
  "decision",
  "decisionId",
  "circuitId",
  "vantage",
];

const MAX_TEXT_BYTES = 1_024;
const MAX_WORDS = 16;

/** @throws {AuditError} FILTER_INVALID with `field` */
export function checkFilter(filter: Filter | undefined): CheckedFilter {
  if (filter === undefined) return { equal: [], sinceUnixMs: null, untilUnixMs: null, words: [] };
  const equal = EQUAL_FIELDS.map((field) => [field, filter[field]] as const).filter(([, value]) => value !== "");
  for (const [field, value] of [...equal, ["text", filter.text] as const]) {
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
  if (filter.words.length === 0) return true;
  const text = `${event.argumentsJson}\n${event.resultPreview}\n${event.reason}`.toLowerCase();
  return filter.words.every((word) => text.includes(word));
}

function invalid(field: string, rule: string): AuditError {
  const name = field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return new AuditError("FILTER_INVALID", `\`filter.${name}\` ${rule}`, { field: `filter.${name}` });
}
