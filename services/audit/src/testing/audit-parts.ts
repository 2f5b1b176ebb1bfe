import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ClickHouseLogLevel, type ClickHouseClient, createClient } from "@clickhouse/client";
import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { NO_PREVIOUS, blockHash, packBlock, signBlock } from "@sallyport/audit-log";
import { EmbeddedClickhouse } from "@sallyport/embedded-clickhouse";
import { type Svid, type SvidSource, routerId } from "@sallyport/identity";
import { Event, Filter, StampedBlock } from "@sallyport/proto/audit";
import { createLogger } from "@sallyport/service";
import { type TestAuthority, type TestNatsServer, createTestAuthority, natsServer } from "@sallyport/testing";
import type { RefusedMessage } from "../domain/admit-block.ts";
import { ChainBook, type ChainReport } from "../domain/chain-book.ts";
import { checkFilter } from "../domain/filter.ts";
import { Ingest } from "../domain/ingest.ts";
import { TailFeed } from "../domain/tail-feed.ts";
import { AuditStore } from "../store/audit-store.ts";
import { AuditBlocks, type AuditBlocksOptions } from "../subjects/audit-blocks.ts";

const log = createLogger({ name: "audit", instance: "1", level: "silent" });

/** The service's own parts on a real bus and a real engine, without the process around them. */
export class AuditParts implements AsyncDisposable {
  readonly folder: string;
  readonly authority: TestAuthority;
  readonly nats: TestNatsServer;
  readonly engine: EmbeddedClickhouse;
  readonly client: ClickHouseClient;
  readonly store: AuditStore;
  readonly feed: TailFeed = new TailFeed();
  readonly refused: RefusedMessage[] = [];
  readonly reports: ChainReport[] = [];
  readonly bus: AuditBlocksOptions["bus"];
  readonly #jetstream: JetStreamClient;
  readonly #owned: AsyncDisposableStack;

  private constructor(parts: {
    readonly folder: string;
    readonly authority: TestAuthority;
    readonly nats: TestNatsServer;
    readonly engine: EmbeddedClickhouse;
    readonly client: ClickHouseClient;
    readonly store: AuditStore;
    readonly bus: AuditBlocksOptions["bus"];
    readonly owned: AsyncDisposableStack;
  }) {
    this.folder = parts.folder;
    this.authority = parts.authority;
    this.nats = parts.nats;
    this.engine = parts.engine;
    this.client = parts.client;
    this.store = parts.store;
    this.bus = parts.bus;
    this.#jetstream = parts.bus.jetstream();
    this.#owned = parts.owned;
  }

  static async start(): Promise<AuditParts> {
    await using owned = new AsyncDisposableStack();
    const folder = owned.adopt(await mkdtemp(join(tmpdir(), "sallyport-audit-")), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const nats = owned.use(await natsServer());
    const engine = owned.use(await EmbeddedClickhouse.start({ folder }));
    const quiet = { log: { level: ClickHouseLogLevel.OFF } };
    const writer = owned.adopt(createClient({ ...engine.writer, ...quiet }), (client) => client.close());
    const reader = owned.adopt(createClient({ ...engine.reader, ...quiet }), (client) => client.close());
    const connection = owned.adopt(
      await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 }),
      (opened) => opened.close(),
    );
    const bus = { jetstream: () => jetstream(connection), jetstreamManager: () => jetstreamManager(connection) };
    const store = new AuditStore({ writer, reader });
    await store.createSchema();
    return new AuditParts({
      folder,
      authority: await createTestAuthority(),
      nats,
      engine,
      client: writer,
      store,
      bus,
      owned: owned.move(),
    });
  }

  /** Starts to take blocks off the bus; what it returns stops it. */
  async consume(
    options: { readonly gapGraceMs?: number; readonly ackWaitMs?: number } = {},
  ): Promise<AuditBlocks & AsyncDisposable> {
    const { store, feed } = this;
    const chains = new ChainBook({ store, report: (report) => this.reports.push(report), ...options });
    this.#owned.use(chains);
    const ingest = new Ingest({
      store,
      chains,
      bundle: () => this.authority.bundle,
      onStored: (events) => feed.publish(events),
      onRefused: (refused) => this.refused.push(refused),
    });
    const { promise: consuming, resolve } = Promise.withResolvers<void>();
    const { ackWaitMs = 1_000 } = options;
    const blocks = new AuditBlocks({ bus: this.bus, ingest, log, onConsuming: resolve, ackWaitMs });
    await consuming;
    return blocks;
  }

  async publish(
    message: StampedBlock,
    options: { readonly subject?: string; readonly id?: string } = {},
  ): Promise<void> {
    const { subject = "audit.router", id } = options;
    await this.#jetstream.publish(
      subject,
      StampedBlock.encode(message).finish(),
      id === undefined ? {} : { msgID: id },
    );
  }

  /** A sink in a process of its own, on this bus and this engine. */
  forkSink(): ChildProcess {
    const sink = fork(fileURLToPath(new URL("./sink-process.ts", import.meta.url)), [], { execArgv: process.execArgv });
    const { username, password } = this.engine.writer;
    const { trustDomain, root } = this.authority;
    sink.send({
      natsUrl: this.nats.url,
      socketPath: join(this.folder, "http.sock"),
      username,
      password,
      trustDomain,
      root: root.certificate.toString("base64"),
    });
    return sink;
  }

  search(filter: Partial<Filter> = {}, limit = 1_000): Promise<Event[]> {
    return this.store.search(checkFilter(filterOf(filter)), limit, new AbortController().signal);
  }

  source(): Promise<SvidSource> {
    return this.authority.source(routerId(this.authority.trustDomain, "r1"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

export function filterOf(filter: Partial<Filter>): Filter {
  return Filter.fromPartial(filter);
}

function vantageOf({ identity }: Svid): string {
  if (identity.kind === "workload") return "dialer";
  return identity.kind === "service" ? identity.name : identity.kind;
}

/** A chain of blocks in one epoch, made by hand, so that a test can bend it. */
export class BlockMaker {
  readonly epoch: string;
  readonly #svid: Svid;
  #number = 0;
  #previous: Buffer = NO_PREVIOUS;

  constructor(svid: Svid, epoch: string = crypto.randomUUID().replaceAll("-", "")) {
    this.#svid = svid;
    this.epoch = epoch;
  }

  /** The next block, stamped as its emitter's own. */
  next(events: readonly Partial<Event>[]): StampedBlock {
    this.#number += 1;
    const encoded = events.map((event) =>
      Buffer.from(
        Event.encode(
          Event.fromPartial({
            eventId: crypto.randomUUID(),
            timeUnixMs: Date.now(),
            kind: "tunnel.opened",
            vantage: vantageOf(this.#svid),
            ...event,
          }),
        ).finish(),
      ),
    );
    const block = packBlock({
      epoch: this.epoch,
      number: this.#number,
      previous: this.#previous,
      events: encoded,
      timeUnixMs: Date.now(),
    });
    this.#previous = blockHash(block);
    const receivedFrom = this.#svid.identity.id.uri;
    return {
      signedBlock: signBlock(block, this.#svid),
      receivedFrom,
      receivedBy: receivedFrom,
      receivedAtUnixMs: Date.now(),
    };
  }
}
