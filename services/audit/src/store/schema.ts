/**
 * Tables of the record.
 *
 * 1. A row's identity is its block's (emitter, epoch, number) and its place in it; never its event id, which an emitter makes up.
 * 2. Partitions follow the time at which the bus took a block: a time that an emitter makes up must not decide how many partitions there are.
 * 3. A block lies in one partition, so that its rows appear together or not at all.
 * 4. Replacing engines are the last belt: what should never be there twice goes when parts are merged.
 */
const DEDUPLICATION = "non_replicated_deduplication_window = 10000";

const TEXT_COLUMNS = [
  "event_id",
  "actor_id",
  "actor_serial",
  "host_id",
  "circuit_id",
  "rpc_id",
  "call_id",
  "arguments_json",
  "arguments_sha256",
  "decision_id",
  "reason",
  "result_preview",
  "result_sha256",
] as const;
const NAME_COLUMNS = [
  "kind",
  "vantage",
  "actor_name",
  "service",
  "router_id",
  "protocol",
  "protocol_version",
  "method",
  "tool",
  "decision",
  "outcome",
  "error_code",
  "tls_group",
] as const;
const COUNT_COLUMNS = [
  "arguments_bytes",
  "slice_version",
  "result_bytes",
  "bytes_sent",
  "bytes_received",
  "duration_us",
  "decide_us",
] as const;

/** Columns of an event in `audit_events`, named as in `audit.proto`. */
export const EVENT_COLUMNS: readonly string[] = [
  "emitter_id",
  "time_unix_ms",
  ...TEXT_COLUMNS,
  ...NAME_COLUMNS,
  ...COUNT_COLUMNS,
  "rule_ids",
  "attributes",
];

const EVENTS = `CREATE TABLE IF NOT EXISTS audit_events (
  emitter_id LowCardinality(String),
  epoch String,
  block_number UInt64,
  block_index UInt16,
  stored_at_unix_ms Int64,
  time_unix_ms Int64,
  time DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(time_unix_ms, 'UTC'),
  ${TEXT_COLUMNS.map((name) => `${name} String`).join(",\n  ")},
  ${NAME_COLUMNS.map((name) => `${name} LowCardinality(String)`).join(",\n  ")},
  ${COUNT_COLUMNS.map((name) => `${name} UInt64`).join(",\n  ")},
  rule_ids Array(LowCardinality(String)),
  attributes Map(LowCardinality(String), String),
  INDEX stored_at_index stored_at_unix_ms TYPE minmax GRANULARITY 1,
  INDEX decision_id_index decision_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX circuit_id_index circuit_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX actor_name_index actor_name TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Milli(stored_at_unix_ms, 'UTC'))
ORDER BY (time_unix_ms, emitter_id, epoch, block_number, block_index)
SETTINGS ${DEDUPLICATION}`;

const BLOCKS = `CREATE TABLE IF NOT EXISTS audit_blocks (
  emitter_id LowCardinality(String),
  epoch String,
  number UInt64,
  hash String,
  previous String,
  event_count UInt16,
  received_by LowCardinality(String),
  stream_sequence UInt64,
  stored_at_unix_ms Int64,
  signed_block String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
ORDER BY (emitter_id, epoch, number)
SETTINGS ${DEDUPLICATION}`;

const QUARANTINE = `CREATE TABLE IF NOT EXISTS audit_quarantine (
  stream_sequence UInt64,
  stored_at_unix_ms Int64,
  subject LowCardinality(String),
  code LowCardinality(String),
  reason String,
  received_from String,
  received_by String,
  message_sha256 String,
  message String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
ORDER BY (stored_at_unix_ms, stream_sequence, message_sha256)
TTL toDateTime(intDiv(stored_at_unix_ms, 1000), 'UTC') + INTERVAL 90 DAY
SETTINGS ${DEDUPLICATION}`;

export const SCHEMA: readonly string[] = [EVENTS, BLOCKS, QUARANTINE];
