/** A sink in a process of its own, which a test can kill: takes blocks off a bus and stores them in a ClickHouse that outlives it. */
import { once } from "node:events";
import { Agent } from "node:http";
import { createClient } from "@clickhouse/client";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { createLogger } from "@sallyport/service";
import { ChainBook } from "../domain/chain-book.ts";
import { Ingest } from "../domain/ingest.ts";
import { AuditStore } from "../store/audit-store.ts";
import { AuditBlocks } from "../subjects/audit-blocks.ts";

const [{ natsUrl, socketPath, username, password, trustDomain, root }] = await once(process, "message");
const connection = await connect({ servers: natsUrl });
const agentOptions: object = { socketPath, keepAlive: true };
const client = createClient({ url: "http://localhost", username, password, http_agent: new Agent(agentOptions) });
const store = new AuditStore({ writer: client, reader: client });
const bundle = { trustDomain, roots: [Buffer.from(root, "base64")], sequence: 1 };
const chains = new ChainBook({ store, report: () => {} });
const ingest = new Ingest({
  store,
  chains,
  bundle: () => bundle,
  onStored: (events) => process.send?.({ stored: events.length }),
  onRefused: () => {},
});
const bus = { jetstream: () => jetstream(connection), jetstreamManager: () => jetstreamManager(connection) };
const log = createLogger({ name: "audit", instance: "1", level: "silent" });
const blocks = new AuditBlocks({
  bus,
  ingest,
  log,
  ackWaitMs: 1_000,
  onConsuming: () => process.send?.({ stored: 0 }),
});
process.once("disconnect", () => void blocks[Symbol.asyncDispose]().then(() => connection.close()));
