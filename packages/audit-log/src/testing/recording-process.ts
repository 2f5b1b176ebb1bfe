/**
 * A process that records 700 events for a receiver that never answers: 500 of them are in a block, 200 in the journal of the open one.
 * When both are on disk it says so and stands still, so that the open block never closes, until it is killed.
 */
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { RotatingSvid, createSvid } from "@sallyport/identity";
import { AuditEmitter } from "../audit-emitter.ts";
import { blockFileName } from "../block-file.ts";
import { readJournal } from "../block-journal.ts";

const spoolDir = process.argv[2] ?? "";
const [message] = await once(process, "message");
const { chain, key, root } = message;
const svid = createSvid(
  chain.map((der: string) => Buffer.from(der, "base64")),
  createPrivateKey(key),
);
const bundle = { trustDomain: svid.identity.id.trustDomain, roots: [Buffer.from(root, "base64")], sequence: 1 };
const emitter = await AuditEmitter.open({
  spoolDir,
  vantage: "router",
  identity: new RotatingSvid(svid, bundle),
  publish: () => Promise.reject(new Error("away")),
});
for (let index = 0; index < 700; index += 1) emitter.record({ kind: "call.started", callId: String(index) });
const journal = join(spoolDir, emitter.epoch, blockFileName(2, "journal"));
const block = join(spoolDir, emitter.epoch, blockFileName(1, "block"));
const journaled = async (): Promise<number> =>
  existsSync(block) ? ((await readJournal(journal).catch(() => null))?.events.length ?? 0) : 0;
while ((await journaled()) < 200) await new Promise(setImmediate);
process.send?.("recorded", undefined, undefined, () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
