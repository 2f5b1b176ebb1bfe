/**
 * The record in ClickHouse.
 *
 * 1. A block's events are written before the block's own row, and a block with a row is not written again: a crash in between leaves events
 *    without a block, which are found by {@link AuditStore.storedEvents} when the block comes again.
 * 2. An insert that is tried again with the same content carries the same token: one whose answer was lost is dropped by the store.
 */
import { createHash } from "node:crypto";
import { type ClickHouseClient, ClickHouseError } from "@clickhouse/client";
import { blockId } from "@sallyport/audit-log";
import type { Event } from "@sallyport/proto/audit";
import { z } from "zod";
import type { AdmittedBlock, RefusedMessage } from "../domain/admit-block.ts";
import type { ChainHead } from "../domain/chain-watch.ts";
import type { CheckedFilter } from "../domain/filter.ts";
import { AuditError } from "../errors.ts";
import { blockRow, eventOf, eventRows, quarantineRow } from "./rows.ts";
import { SCHEMA } from "./schema.ts";
import { type Statement, searchStatement } from "./search-statement.ts";

export interface StoreTotals {
  readonly events: number;
  readonly blocks: number;
  readonly quarantined: number;
  readonly engineVersion: string;
}

/** A run of blocks of one chain. */
export interface BlockRange {
  readonly emitterId: string;
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

const storedBlockRow = z.object({
  emitter_id: z.string(),
  epoch: z.string(),
  number: z.coerce.number(),
  hash: z.string(),
});
const storedEventsRow = z.object({
  emitter_id: z.string(),
  epoch: z.string(),
  number: z.coerce.number(),
  indexes: z.array(z.number()),
});
const quarantinedRow = z.object({ message_sha256: z.string() });
const countRow = z.object({ count: z.coerce.number() });
const totalsRow = z.object({
  events: z.coerce.number(),
  blocks: z.coerce.number(),
  quarantined: z.coerce.number(),
  engineVersion: z.string(),
});

/** The keys of some blocks as a set that a statement can look into. */
const KEYS =
  "(SELECT key.1, key.2, key.3 FROM (SELECT arrayJoin(arrayZip({emitters:Array(String)}, {epochs:Array(String)}, {numbers:Array(UInt64)})) AS key))";
/** A block that came twice did so within this time; older partitions need not be looked through for its events. */
const LOOK_BACK_MS = 86_400_000;

export class AuditStore {
  readonly #writer: ClickHouseClient;
  readonly #reader: ClickHouseClient;

  constructor(clients: { readonly writer: ClickHouseClient; readonly reader: ClickHouseClient }) {
    this.#writer = clients.writer;
    this.#reader = clients.reader;
  }

  async createSchema(): Promise<void> {
    for (const query of SCHEMA) await this.#writer.command({ query });
  }

  /** Hashes of those blocks that are on record already, by {@link blockId}; lower-case hexadecimal. */
  async storedBlocks(blocks: readonly AdmittedBlock[]): Promise<ReadonlyMap<string, string>> {
    const query = `SELECT emitter_id, epoch, number, hash FROM audit_blocks WHERE (emitter_id, epoch, number) IN ${KEYS}`;
    const rows = await this.#select(storedBlockRow, { query, parameters: { ...keysOf(blocks) } });
    return new Map(rows.map((row) => [blockId(row.emitter_id, row.epoch, row.number), row.hash]));
  }

  /** Places of those events that are on record already, by {@link blockId}. */
  async storedEvents(blocks: readonly AdmittedBlock[]): Promise<ReadonlyMap<string, ReadonlySet<number>>> {
    const since = Math.min(...blocks.map((block) => block.message.storedAt.getTime())) - LOOK_BACK_MS;
    const query =
      "SELECT emitter_id, epoch, block_number AS number, groupUniqArray(block_index) AS indexes FROM audit_events" +
      ` WHERE stored_at_unix_ms >= {since:Int64} AND (emitter_id, epoch, block_number) IN ${KEYS} GROUP BY emitter_id, epoch, number`;
    const rows = await this.#select(storedEventsRow, { query, parameters: { ...keysOf(blocks), since } });
    return new Map(rows.map((row) => [blockId(row.emitter_id, row.epoch, row.number), new Set(row.indexes)]));
  }

  /** The newest block on record of each of these blocks' chains, by `<emitter>:<epoch>`. */
  async chainHeads(blocks: readonly AdmittedBlock[]): Promise<ReadonlyMap<string, ChainHead>> {
    const query =
      "SELECT emitter_id, epoch, max(number) AS number, argMax(hash, audit_blocks.number) AS hash FROM audit_blocks" +
      ` WHERE (emitter_id, epoch) IN (SELECT key.1, key.2 FROM (SELECT arrayJoin(arrayZip({emitters:Array(String)}, {epochs:Array(String)})) AS key)) GROUP BY emitter_id, epoch`;
    const { emitters, epochs } = keysOf(blocks);
    const rows = await this.#select(storedBlockRow, { query, parameters: { emitters, epochs } });
    return new Map(
      rows.map((row) => [`${row.emitter_id}:${row.epoch}`, { number: row.number, hash: Buffer.from(row.hash, "hex") }]),
    );
  }

  async countBlocks({ emitterId, epoch, first, last }: BlockRange): Promise<number> {
    const query =
      "SELECT uniqExact(number) AS count FROM audit_blocks WHERE emitter_id = {emitter:String} AND epoch = {epoch:String} AND number BETWEEN {first:UInt64} AND {last:UInt64}";
    const [row] = await this.#select(countRow, { query, parameters: { emitter: emitterId, epoch, first, last } });
    return row?.count ?? 0;
  }

  /** @param stored places not to write again, by {@link blockId} */
  async insertEvents(
    blocks: readonly AdmittedBlock[],
    stored: ReadonlyMap<string, ReadonlySet<number>>,
  ): Promise<void> {
    const byDay = Map.groupBy(blocks, (block) => block.message.storedAt.toISOString().slice(0, 10));
    for (const ofDay of byDay.values()) {
      const rows = ofDay.flatMap((block) => {
        const there = stored.get(blockId(block.emitterId, block.epoch, block.number));
        return eventRows(block).filter((_, index) => !there?.has(index));
      });
      await this.#insert("audit_events", rows);
    }
  }

  insertBlocks(blocks: readonly AdmittedBlock[]): Promise<void> {
    return this.#insert("audit_blocks", blocks.map(blockRow));
  }

  /** Sets messages aside, each once. */
  async quarantine(refused: readonly RefusedMessage[]): Promise<void> {
    const rows = refused.map((message) => quarantineRow(message));
    const query =
      "SELECT message_sha256 FROM audit_quarantine WHERE (stored_at_unix_ms, stream_sequence, message_sha256) IN" +
      " (SELECT key.1, key.2, key.3 FROM (SELECT arrayJoin(arrayZip({times:Array(Int64)}, {sequences:Array(UInt64)}, {hashes:Array(String)})) AS key))";
    const parameters = {
      times: refused.map(({ message }) => message.storedAt.getTime()),
      sequences: refused.map(({ message }) => message.streamSequence),
      hashes: rows.map((row) => String(row["message_sha256"])),
    };
    const there = new Set((await this.#select(quarantinedRow, { query, parameters })).map((row) => row.message_sha256));
    await this.#insert(
      "audit_quarantine",
      rows.filter((row) => !there.has(String(row["message_sha256"]))),
    );
  }

  /** @throws {AuditError} STORE_UNAVAILABLE */
  async search(filter: CheckedFilter, limit: number, signal: AbortSignal): Promise<Event[]> {
    return (await this.#select(z.unknown(), searchStatement(filter, limit), { client: this.#reader, signal })).map(
      eventOf,
    );
  }

  /** @throws {AuditError} STORE_UNAVAILABLE */
  async totals(): Promise<StoreTotals> {
    const query =
      "SELECT (SELECT count() FROM audit_events) AS events, (SELECT count() FROM audit_blocks) AS blocks," +
      " (SELECT count() FROM audit_quarantine) AS quarantined, version() AS engineVersion";
    const [totals] = await this.#select(totalsRow, { query, parameters: {} }, { client: this.#reader });
    if (totals === undefined) throw new AuditError("STORE_UNAVAILABLE", "The audit store gave no answer");
    return totals;
  }

  async #select<Row extends z.ZodType>(
    row: Row,
    statement: Statement,
    options: { readonly client?: ClickHouseClient; readonly signal?: AbortSignal } = {},
  ): Promise<z.output<Row>[]> {
    const { client = this.#writer, signal } = options;
    try {
      const result = await client.query({
        query: statement.query,
        query_params: statement.parameters,
        format: "JSONEachRow",
        clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
        ...(signal === undefined ? {} : { abort_signal: signal }),
      });
      return (await result.json()).map((value) => row.parse(value));
    } catch (cause) {
      signal?.throwIfAborted();
      throw storeFault(cause);
    }
  }

  async #insert(table: string, rows: readonly object[]): Promise<void> {
    if (rows.length === 0) return;
    const token = createHash("sha256").update(JSON.stringify(rows)).digest("hex");
    try {
      await this.#writer.insert({
        table,
        values: [...rows],
        format: "JSONEachRow",
        clickhouse_settings: { async_insert: 0, insert_deduplication_token: token },
      });
    } catch (cause) {
      throw storeFault(cause);
    }
  }
}

/** Codes with which ClickHouse says that it will never take these rows (ErrorCodes.cpp): it cannot read or convert a value. */
const DATA_REFUSED: ReadonlySet<string> = new Set([
  "6",
  "26",
  "27",
  "36",
  "38",
  "41",
  "53",
  "69",
  "70",
  "72",
  "117",
  "128",
  "131",
  "321",
]);

function storeFault(cause: unknown): AuditError {
  if (cause instanceof ClickHouseError && DATA_REFUSED.has(cause.code)) {
    return new AuditError("STORE_REFUSED", `The audit store does not take these rows (ClickHouse ${cause.code})`, {
      cause,
    });
  }
  const reason = cause instanceof ClickHouseError ? `ClickHouse ${cause.code}` : "no answer";
  return new AuditError("STORE_UNAVAILABLE", `The audit store cannot be used now (${reason})`, { cause });
}

interface BlockKeys {
  readonly emitters: readonly string[];
  readonly epochs: readonly string[];
  readonly numbers: readonly number[];
}

function keysOf(blocks: readonly AdmittedBlock[]): BlockKeys {
  return {
    emitters: blocks.map((block) => block.emitterId),
    epochs: blocks.map((block) => block.epoch),
    numbers: blocks.map((block) => block.number),
  };
}
