import { setTimeout as pause } from "node:timers/promises";
import { Filter, type Event, type SearchRequest, type SearchResponse } from "@sallyport/proto/audit";
import { must } from "../first-light-error.ts";
import type { ExpectedRow, Finding } from "../step.ts";

export interface Audited {
  readonly search: (request: SearchRequest) => Promise<SearchResponse>;
  /** What the steps before say must be on record. */
  readonly rows: readonly ExpectedRow[];
  /** When the story began: rows of earlier runs do not count. */
  readonly sinceUnixMs: number;
  /** For rows on their way through spool, bus and store. Default 15,000. */
  readonly patienceMs?: number;
}

const pollEveryMs = 150;
const maxRows = 1_000;

/** Everything that the story did is read back from the record, and is what the steps saw. */
export async function audited({ search, rows, sinceUnixMs, patienceMs = 15_000 }: Audited): Promise<Finding> {
  must(rows.length > 0, "no row was asked for");
  const request = { filter: Filter.fromPartial({ sinceUnixMs }), limit: maxRows };
  const deadline = performance.now() + patienceMs;
  let events: readonly Event[] = [];
  let missing = rows;
  while (missing.length > 0) {
    ({ events } = await search(request));
    missing = rows.filter((row) => !events.some((event) => matches(event, row)));
    must(missing.length === 0 || performance.now() < deadline, tellMissing(missing, events));
    if (missing.length > 0) await pause(pollEveryMs);
  }
  const found = events.filter((event) => rows.some((row) => matches(event, row)));
  return { facts: { rows: rows.length, events: events.length }, lines: linesOf(found.toReversed()), rows: [] };
}

function tellMissing(missing: readonly ExpectedRow[], events: readonly Event[]): string {
  const whats = missing.map(({ what }) => what).join("; ");
  const near = linesOf(events.filter(({ kind }) => missing.some(({ fields }) => fields.kind === kind)));
  return `not on record: ${whats}\n${near.length} of ${events.length} rows come near:\n${near.join("\n")}`;
}

function matches(event: Event, { fields: { ruleIds = [], argumentsContain = "", ...exact } }: ExpectedRow): boolean {
  const seen: Partial<Record<string, unknown>> = { ...event };
  return (
    Object.entries(exact).every(([name, value]) => seen[name] === value) &&
    ruleIds.every((id) => event.ruleIds.includes(id)) &&
    event.argumentsJson.includes(argumentsContain)
  );
}

/** `host  call.refused  demo-agent  everything/get-env  denied by no-environment`, in columns. */
function linesOf(events: readonly Event[]): readonly string[] {
  const rows = events.map((event) => [event.vantage, event.kind, event.actorName, targetOf(event), resultOf(event)]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function targetOf({ service, tool, argumentsJson, attributes }: Event): string {
  if (service === "")
    return (
      attributes["subject"] ?? (attributes["workload"] === undefined ? "" : `a token for ${attributes["workload"]}`)
    );
  const call = tool === "" ? service : `${service}/${tool}`;
  return argumentsJson === "" || argumentsJson === "{}" ? call : `${call} ${argumentsJson}`;
}

function resultOf({ decision, outcome, ruleIds, errorCode }: Event): string {
  const rules = ruleIds.length > 0 ? ` by ${ruleIds.join(", ")}` : "";
  if (decision === "deny") return `denied${rules}`;
  if (decision === "allow" && outcome === "") return `allowed${rules}`;
  if (outcome === "denied" && errorCode !== "") return `denied: ${errorCode}`;
  return `${outcome}${outcome === "ok" ? rules : ""}`;
}
