export { type ClickhouseEndpoint, EmbeddedClickhouse, type EmbeddedClickhouseOptions } from "./embedded-clickhouse.ts";
export { EmbeddedClickhouseError, type EmbeddedClickhouseErrorCode } from "./errors.ts";
