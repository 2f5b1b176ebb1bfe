import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { routerId } from "@sallyport/identity";
import type { Event, SignedBlock } from "@sallyport/proto/audit";
import { type TestAuthority, createTestAuthority } from "@sallyport/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AuditEmitter } from "./audit-emitter.ts";
import { blockHash } from "./block.ts";
import type { AuditLogErrorCode } from "./errors.ts";
import { verifyBlock } from "./verify-block.ts";

let authority: TestAuthority;
let spoolDir: string;
const id = routerId("sallyport.local", "r1");

beforeAll(async () => {
  authority = await createTestAuthority("sallyport.local");
});
beforeEach(async () => {
  spoolDir = await mkdtemp(join(tmpdir(), "sallyport-spool-"));
});
afterEach(() => rm(spoolDir, { recursive: true, force: true }));

/** A receiver that keeps what it is handed, and can be away. */
class Receiver {
  readonly blocks: SignedBlock[] = [];
  isAway = false;
  answer: "stored" | "invalid" = "stored";
  readonly publish = async (block: SignedBlock): Promise<"stored" | "invalid"> => {
    if (this.isAway) throw new Error("away");
    this.blocks.push(block);
    return this.answer;
  };
  events(): Event[] {
    return this.blocks.flatMap((block) => [...verifyBlock(block, authority.bundle, new Date()).events]);
  }
  kinds(): string[] {
    return this.events().map((event) => event.kind);
  }
}

async function openEmitter(
  receiver: Receiver,
  options: { maxSpoolBytes?: number; troubles?: AuditLogErrorCode[] } = {},
): Promise<AuditEmitter> {
  const { maxSpoolBytes, troubles = [] } = options;
  return AuditEmitter.open({
    spoolDir,
    vantage: "router",
    identity: await authority.source(id),
    publish: receiver.publish,
    onTrouble: (trouble) => troubles.push(trouble.code),
    ...(maxSpoolBytes === undefined ? {} : { maxSpoolBytes }),
  });
}

describe("an emitter", () => {
  test("delivers what it recorded as blocks that verify, with the signer as emitter", async () => {
    const receiver = new Receiver();
    await using emitter = await openEmitter(receiver);
    emitter.record({ kind: "tunnel.opened", actorName: "alice" });
    await emitter.flush();
    const [block] = receiver.blocks;
    if (block === undefined) throw new Error("nothing was published");
    const { events } = verifyBlock(block, authority.bundle, new Date());
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      kind: "tunnel.opened",
      actorName: "alice",
      vantage: "router",
      emitterId: id.uri,
    });
  });

  test("links each block to the one before", async () => {
    const receiver = new Receiver();
    await using emitter = await openEmitter(receiver);
    for (const kind of ["circuit.opened", "circuit.closed"]) {
      emitter.record({ kind });
      await emitter.flush();
    }
    const blocks = receiver.blocks.map((block) => verifyBlock(block, authority.bundle, new Date()).block);
    expect(blocks.map((block) => block.number)).toEqual([1, 2]);
    expect(blocks[1]?.previous).toEqual(blockHash(receiver.blocks[0]?.block ?? Buffer.alloc(0)));
  });

  test("keeps blocks on disk while the receiver is away, and delivers them in order when it is back", async () => {
    const receiver = new Receiver();
    receiver.isAway = true;
    await using emitter = await openEmitter(receiver);
    emitter.record({ kind: "tunnel.opened" });
    await expect(emitter.flush(AbortSignal.timeout(300))).rejects.toThrow("timeout");
    emitter.record({ kind: "tunnel.closed" });
    receiver.isAway = false;
    await emitter.flush();
    expect(receiver.kinds()).toEqual(["tunnel.opened", "tunnel.closed"]);
    expect(await readdir(join(spoolDir, emitter.epoch))).toEqual(["adopted", "owner.json"]);
  });

  test("drops and counts when the spool is full, and puts the loss itself on record", async () => {
    const receiver = new Receiver();
    receiver.isAway = true;
    const troubles: AuditLogErrorCode[] = [];
    await using emitter = await openEmitter(receiver, { maxSpoolBytes: 65_536, troubles });
    const recorded = 3_000;
    for (let count = 0; count < recorded; count += 1) emitter.record({ kind: "call.started", reason: "x".repeat(500) });
    expect(emitter.healthy).toBe(false);
    expect(troubles.filter((code) => code === "SPOOL_FULL")).toHaveLength(1);
    await expect(emitter.flush(AbortSignal.timeout(300))).rejects.toThrow("timeout");
    expect(await bytesIn(spoolDir)).toBeLessThan(3 * 65_536);
    receiver.isAway = false;
    await emitter.flush();
    await emitter.flush();
    expect(emitter.healthy).toBe(true);
    const kept = receiver.kinds().filter((kind) => kind === "call.started").length;
    const losses = receiver.events().filter((event) => event.kind === "events.dropped");
    expect(losses).toHaveLength(1);
    expect(kept + Number(losses[0]?.attributes["count"])).toBe(recorded);
  });

  test("publishes from memory when the spool cannot be written, and says so", async () => {
    const receiver = new Receiver();
    const troubles: AuditLogErrorCode[] = [];
    await using emitter = await openEmitter(receiver, { troubles });
    await rm(spoolDir, { recursive: true });
    emitter.record({ kind: "circuit.opened" });
    await emitter.flush();
    expect(receiver.kinds()).toEqual(["circuit.opened"]);
    expect(troubles).toEqual(["SPOOL_UNWRITABLE"]);
    expect(emitter.healthy).toBe(false);
  });

  test.skipIf(!canMount())("on a full disk keeps at most 8 MiB in memory, and loses nothing silently", async () => {
    execFileSync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", spoolDir]);
    try {
      const receiver = new Receiver();
      receiver.isAway = true;
      const troubles: AuditLogErrorCode[] = [];
      await using emitter = await openEmitter(receiver, { troubles });
      const recorded = 12_000;
      for (let count = 0; count < recorded; count += 1) {
        emitter.record({ kind: "call.started", reason: "x".repeat(1_000) });
        if (count % 500 === 0) await new Promise(setImmediate);
      }
      await expect(emitter.flush(AbortSignal.timeout(500))).rejects.toThrow("timeout");
      expect(troubles).toContain("SPOOL_UNWRITABLE");
      expect(troubles).toContain("SPOOL_FULL");
      receiver.isAway = false;
      await emitter.flush();
      await emitter.flush();
      const lost = receiver.events().filter((event) => event.kind === "events.dropped");
      const kept = receiver.kinds().filter((kind) => kind === "call.started").length;
      expect(kept + lost.reduce((sum, event) => sum + Number(event.attributes["count"]), 0)).toBe(recorded);
    } finally {
      execFileSync("/usr/bin/umount", [spoolDir]);
    }
  });

  test("signs what waited by its renewed key, without a change to the chain", async () => {
    const receiver = new Receiver();
    receiver.isAway = true;
    const source = await authority.source(id, { ttlSeconds: 60 });
    await using emitter = await AuditEmitter.open({
      spoolDir,
      vantage: "router",
      identity: source,
      publish: receiver.publish,
    });
    emitter.record({ kind: "tunnel.opened" });
    await expect(emitter.flush(AbortSignal.timeout(300))).rejects.toThrow("timeout");
    source.rotate(await authority.issue(id, { ttlSeconds: 7_200 }), authority.bundle);
    receiver.isAway = false;
    emitter.record({ kind: "tunnel.closed" });
    await emitter.flush();
    const anHourLater = new Date(Date.now() + 3_600_000);
    const [first, second] = receiver.blocks.map((block) => verifyBlock(block, authority.bundle, anHourLater).block);
    expect(second?.previous).toEqual(blockHash(receiver.blocks[0]?.block ?? Buffer.alloc(0)));
    expect(first?.number).toBe(1);
  });

  test("sets a block aside that its receiver refuses for good, and goes on", async () => {
    const receiver = new Receiver();
    receiver.answer = "invalid";
    const troubles: AuditLogErrorCode[] = [];
    await using emitter = await openEmitter(receiver, { troubles });
    emitter.record({ kind: "tunnel.opened" });
    await emitter.flush();
    receiver.answer = "stored";
    emitter.record({ kind: "tunnel.closed" });
    await emitter.flush();
    expect(troubles).toEqual(["BLOCK_REFUSED"]);
    expect(await readdir(join(spoolDir, "refused"))).toEqual([`${emitter.epoch}-1.block`]);
    expect(receiver.kinds()).toEqual(["tunnel.opened", "tunnel.closed"]);
  });

  test("leaves nothing on disk after an end at which everything was acknowledged", async () => {
    const receiver = new Receiver();
    const emitter = await openEmitter(receiver);
    emitter.record({ kind: "tunnel.opened" });
    await emitter[Symbol.asyncDispose]();
    expect(receiver.kinds()).toEqual(["tunnel.opened"]);
    expect(await readdir(spoolDir)).toEqual([]);
  });

  test("hands what it could not deliver to the next process of its identity, once, in one whole chain", async () => {
    const away = new Receiver();
    away.isAway = true;
    const first = await openEmitter(away);
    for (let count = 0; count < 700; count += 1) first.record({ kind: "circuit.opened" });
    await first[Symbol.asyncDispose]();
    const receiver = new Receiver();
    const [second, third] = await Promise.all([openEmitter(receiver), openEmitter(receiver)]);
    await Promise.all([second.flush(), third.flush()]);
    expect(receiver.kinds()).toHaveLength(700);
    await Promise.all([second[Symbol.asyncDispose](), third[Symbol.asyncDispose]()]);
    expect(await readdir(spoolDir)).toEqual([]);
  });

  test("never takes over the spool of a process that runs", async () => {
    const away = new Receiver();
    away.isAway = true;
    await using running = await openEmitter(away);
    running.record({ kind: "circuit.opened" });
    await expect(running.flush(AbortSignal.timeout(200))).rejects.toThrow("timeout");
    const receiver = new Receiver();
    await using other = await openEmitter(receiver);
    other.record({ kind: "circuit.closed" });
    await other.flush();
    expect(receiver.kinds()).toEqual(["circuit.closed"]);
  });

  test("never publishes a spooled block that another identity signed", async () => {
    const away = new Receiver();
    away.isAway = true;
    const foreign = await AuditEmitter.open({
      spoolDir,
      vantage: "router",
      identity: await authority.source(routerId("sallyport.local", "r2")),
      publish: away.publish,
    });
    foreign.record({ kind: "circuit.opened" });
    await foreign[Symbol.asyncDispose]();
    const receiver = new Receiver();
    const troubles: AuditLogErrorCode[] = [];
    await using emitter = await openEmitter(receiver, { troubles });
    await emitter.flush();
    expect(receiver.blocks).toEqual([]);
    expect(troubles).toEqual(["SPOOL_DAMAGED"]);
  });
});

describe("the end of a process by kill -9", () => {
  test("takes no event along that was recorded a moment before", async () => {
    const child = fork(fileURLToPath(new URL("./testing/recording-process.ts", import.meta.url)), [spoolDir], {
      execArgv: process.execArgv,
    });
    const svid = await authority.issue(id);
    child.send({
      chain: svid.certificateChain.map((der) => der.toString("base64")),
      key: svid.privateKey.export({ type: "pkcs8", format: "pem" }),
      root: authority.root.certificate.toString("base64"),
    });
    try {
      await once(child, "message", { signal: AbortSignal.timeout(10_000) });
    } finally {
      child.kill("SIGKILL");
    }
    await once(child, "exit");
    const receiver = new Receiver();
    await using emitter = await openEmitter(receiver);
    await emitter.flush();
    expect(receiver.events().map((event) => event.callId)).toEqual(
      Array.from({ length: 700 }, (_, index) => String(index)),
    );
    const [first, second] = receiver.blocks.map((block) => verifyBlock(block, authority.bundle, new Date()).block);
    expect(second?.previous).toEqual(blockHash(receiver.blocks[0]?.block ?? Buffer.alloc(0)));
    expect([first?.number, second?.number]).toEqual([1, 2]);
  });
});

async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        (facts) => facts.size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** A real full disk needs a small one: only root may mount it. */
function canMount(): boolean {
  const probe = mkdtempSync(join(tmpdir(), "sallyport-mount-"));
  try {
    execFileSync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("/usr/bin/umount", [probe]);
    return true;
  } catch {
    process.stderr.write("SKIPPED: no right to mount a small disk, so the full-disk test does not run\n");
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
