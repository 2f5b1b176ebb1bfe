import type { CheckedFilter } from "../domain/filter.ts";
import { EVENT_COLUMNS } from "./schema.ts";

/** SQL put together from constants only, and the values of its placeholders. */
export interface Statement {
  readonly query: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** The events that match, newest first. */
export function searchStatement(filter: CheckedFilter, limit: number): Statement {
  const conditions: string[] = [];
  const parameters: Record<string, unknown> = { limit };
  for (const [field, value] of filter.equal) {
    conditions.push(`${CONDITIONS[field]} = {${field}:String}`);
    parameters[field] = value;
  }
  if (filter.sinceUnixMs !== null) {
    conditions.push("time_unix_ms >= {since:Int64}");
    parameters["since"] = filter.sinceUnixMs;
  }
  if (filter.untilUnixMs !== null) {
    conditions.push("time_unix_ms <= {until:Int64}");
    parameters["until"] = filter.untilUnixMs;
  }
  if (filter.ruleId !== null) {
    conditions.push("has(rule_ids, {rule:String})");
    parameters["rule"] = filter.ruleId;
  }
  filter.words.forEach((word, index) => {
    conditions.push(
      `positionUTF8(lowerUTF8(concat(arguments_json, '\\n', result_preview, '\\n', reason, '\\n', arrayStringConcat(mapValues(attributes), '\\n'))), {word${index}:String}) > 0`,
    );
    parameters[`word${index}`] = word;
  });
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  // Should a row be there twice before its parts are merged, it is shown once.
  const query =
    `SELECT ${EVENT_COLUMNS.join(", ")} FROM audit_events${where}` +
    " ORDER BY time_unix_ms DESC, emitter_id DESC, epoch DESC, block_number DESC, block_index DESC" +
    " LIMIT 1 BY emitter_id, epoch, block_number, block_index LIMIT {limit:UInt32}";
  return { query, parameters };
}

const CONDITIONS = {
  actorName: "actor_name",
  service: "service",
  tool: "tool",
  kind: "kind",
  decision: "decision",
  decisionId: "decision_id",
  circuitId: "circuit_id",
  vantage: "vantage",
  actorId: "actor_id",
  hostId: "host_id",
  outcome: "outcome",
  errorCode: "error_code",
} as const;
