import { AuditServiceService } from "@sallyport/proto/audit";
import type { Runtime } from "@sallyport/service";
import type { AuditConfig } from "./config.ts";
import { ChainBook } from "./domain/chain-book.ts";
import { Ingest } from "./domain/ingest.ts";
import { TailFeed } from "./domain/tail-feed.ts";
import { blockQuarantined, chainBroken } from "./events.ts";
import { getStatus } from "./rpc/get-status.ts";
import { search } from "./rpc/search.ts";
import { tail } from "./rpc/tail.ts";
import { openStore } from "./store/open-store.ts";
import { AuditBlocks } from "./subjects/audit-blocks.ts";

/** Subject of this service's own blocks. What is wrong with one of those is logged only: an event of it would be the next one. */
const OWN_SUBJECT = "audit.audit";

export async function startAudit({
  config,
  log,
  identity,
  bus,
  audit,
  readiness,
  grpc,
  signal,
}: Runtime<AuditConfig>): Promise<AsyncDisposable> {
  await using owned = new AsyncDisposableStack();
  const consuming = readiness.block("audit stream");
  const { store } = owned.use(await openStore(config, log, signal));
  const feed = new TailFeed();
  const chains = owned.use(
    new ChainBook({
      store,
      report: (report) => {
        log.warn({ ...report }, "a chain of audit blocks is broken");
        audit.record(chainBroken(report));
      },
    }),
  );
  const ingest = new Ingest({
    store,
    chains,
    bundle: () => identity.bundle(),
    onStored: (events) => feed.publish(events),
    onRefused: (refused) => {
      log.warn(
        {
          code: refused.code,
          reason: refused.reason,
          receivedFrom: refused.receivedFrom,
          subject: refused.message.subject,
        },
        "an audit block was set aside",
      );
      if (refused.message.subject !== OWN_SUBJECT) audit.record(blockQuarantined(refused));
    },
  });
  const blocks = owned.use(new AuditBlocks({ bus, ingest, log, onConsuming: () => consuming[Symbol.dispose]() }));
  grpc.add(
    AuditServiceService,
    { search: search(store), tail: tail(feed), getStatus: getStatus(store, blocks) },
    { search: "admin", tail: "admin", getStatus: "admin" },
  );
  return owned.move();
}
