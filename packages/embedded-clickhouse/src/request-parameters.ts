import { ClickhouseFault } from "./clickhouse-fault.ts";

export interface RequestParameters {
  /** SQL given in the URL; empty when it is the body. */
  readonly query: string;
  /** Values of `{name:Type}` placeholders, escaped as in tab-separated text, as the HTTP interface defines. */
  readonly values: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, string>;
}

/** Settings that a request may choose. Everything else is pinned by {@link Engine} or refused. */
const OFFERED: ReadonlySet<string> = new Set([
  "insert_deduplication_token",
  "max_execution_time",
  "max_result_rows",
  "max_rows_to_read",
  "output_format_json_quote_64bit_integers",
]);
/** What clients send by themselves and what makes no difference here. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "query_id",
  "async_insert",
  "wait_for_async_insert",
  "wait_end_of_query",
  "enable_http_compression",
  "send_progress_in_http_headers",
  "http_headers_progress_interval_ms",
]);
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** @throws {ClickhouseFault} for a parameter that would be ignored though it matters */
export function readRequestParameters(search: URLSearchParams): RequestParameters {
  const values = new Map<string, string>();
  const settings = new Map<string, string>();
  for (const [name, value] of search) {
    if (name === "query" || WITHOUT_EFFECT.has(name)) continue;
    if (name === "database" && value === "default") continue;
    if (name.startsWith("param_") && NAME.test(name)) values.set(name, value);
    else if (OFFERED.has(name)) settings.set(name, value);
    else throw ClickhouseFault.unknownSetting(JSON.stringify(name.slice(0, 64)));
  }
  return { query: search.get("query") ?? "", values, settings };
}
