import { setTimeout as pause } from "node:timers/promises";
import type { Event, SearchRequest, SearchResponse } from "@sallyport/proto/audit";
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

const pollEveryMs = 100;

const noFilter = {
  actorName: "",
  service: "",
  tool: "",
  kind: "",
  decision: "",
  decisionId: "",
  circuitId: "",
  vantage: "",
  sinceUnixMs: 0,
  untilUnixMs: 0,
  text: "",
};

/** Everything that the story did is read back from the record, and is what the steps saw. */
export async function audited({ search, rows, sinceUnixMs, patienceMs = 15_000 }: Audited): Promise<Finding> {
  must(rows.length > 0, "no row was asked for");
  const deadline = performance.now() + patienceMs;
  const found: Event[] = [];
  for (const { what, filter, fields } of rows) {
    const request = { filter: { ...noFilter, sinceUnixMs, ...filter }, limit: 1_000 };
    let { events } = await search(request);
    let row = events.find((event) => matches(event, fields));
    while (row === undefined && performance.now() < deadline) {
      await pause(pollEveryMs);
      ({ events } = await search(request));
      row = events.find((event) => matches(event, fields));
    }
    must(
      row !== undefined,
      `${what} is not on record; ${events.length} rows come near: ${JSON.stringify(events[0] ?? {})}`,
    );
    found.push(row);
  }
  return { facts: { rows: found.length }, lines: found.map(lineOf), rows: [] };
}

function matches(event: Event, { ruleIds = [], argumentsContain = "", ...exact }: ExpectedRow["fields"]): boolean {
  const seen: Partial<Record<string, unknown>> = { ...event };
  return (
    Object.entries(exact).every(([name, value]) => seen[name] === value) &&
    ruleIds.every((id) => event.ruleIds.includes(id)) &&
    event.argumentsJson.includes(argumentsContain)
  );
}

/** `demo-agent  call.refused  everything/get-env  deny  denied  rule no-environment`. */
function lineOf(event: Event): string {
  const target = [event.service, event.tool].filter(Boolean).join("/");
  const rules = event.ruleIds.length > 0 ? `rule ${event.ruleIds.join(", ")}` : "";
  const cells = [event.vantage, event.kind, event.actorName, target, event.decision, event.outcome, rules];
  const widths = [10, 17, 14, 34, 5, 8, 0];
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join(" ")
    .trimEnd();
}
