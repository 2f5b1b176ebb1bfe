import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ClickHouseLogLevel, type ClickHouseClient, createClient } from "@clickhouse/client";
import { EmbeddedClickhouse } from "@sallyport/embedded-clickhouse";
import type { Logger } from "@sallyport/service";
import type { AuditConfig } from "../config.ts";
import { AuditStore } from "./audit-store.ts";

type ClientOptions = NonNullable<Parameters<typeof createClient>[0]>;

export interface OpenStore extends AsyncDisposable {
  readonly store: AuditStore;
}

/** An insert of 500 blocks, or a search over everything. */
const REQUEST_TIMEOUT_MS = 35_000;

/** Connects to the configured ClickHouse, or starts the embedded one, and makes its tables. */
export async function openStore(config: AuditConfig, log: Logger, signal: AbortSignal): Promise<OpenStore> {
  await using owned = new AsyncDisposableStack();
  const { writer, reader } =
    config.store.kind === "embedded"
      ? await embedded(config.stateDir, log, signal, owned)
      : await server(config.store, owned);
  const store = new AuditStore({ writer, reader });
  await store.createSchema();
  const kept = owned.move();
  return { store, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Clients {
  readonly writer: ClickHouseClient;
  readonly reader: ClickHouseClient;
}

async function embedded(
  stateDir: string,
  log: Logger,
  signal: AbortSignal,
  owned: AsyncDisposableStack,
): Promise<Clients> {
  const engine = owned.use(
    await EmbeddedClickhouse.start({
      folder: join(stateDir, "clickhouse"),
      signal,
      onTrouble: (error) => log.warn({ err: error }, "audit store"),
    }),
  );
  return { writer: client(engine.writer, owned), reader: client(engine.reader, owned) };
}

async function server(
  store: Extract<AuditConfig["store"], { kind: "server" }>,
  owned: AsyncDisposableStack,
): Promise<Clients> {
  const password = store.passwordFile === null ? "" : (await readFile(store.passwordFile, "utf8")).trim();
  const both = client({ url: store.url, username: store.user, password }, owned);
  return { writer: both, reader: both };
}

function client(endpoint: ClientOptions, owned: AsyncDisposableStack): ClickHouseClient {
  // The client's own log would print whole requests; its errors reach ours.
  const options: ClientOptions = {
    ...endpoint,
    request_timeout: REQUEST_TIMEOUT_MS,
    log: { level: ClickHouseLogLevel.OFF },
  };
  return owned.adopt(createClient(options), (opened) => opened.close());
}
