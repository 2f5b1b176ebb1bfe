import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { routerId } from "@sallyport/identity";
import type { SignedBlock } from "@sallyport/proto/audit";
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
  kinds(): string[] {
    return this.blocks.flatMap((block) => verifyBlock(block, authority.bundle, new Date()).events.map((event) => event.kind));
  }
}

async function openEmitter(receiver: Receiver, options: { maxSpoolBytes?: number; troubles?: AuditLogErrorCode[] } = {}): Promise<AuditEmitter> {
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
    expect(events[0]).toMatchObject({ kind: "tunnel.opened", actorName: "alice", vantage: "router", emitterId: id.uri });
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
    await expect(emitter.flush(AbortSignal.timeout(300))).rejects.toThrow();
    emitter.record({ kind: "tunnel.closed" });
    receiver.isAway = false;
    await emitter.flush();
    expect(receiver.kinds()).toEqual(["tunnel.opened", "tunnel.closed"]);
    expect(await readdir(join(spoolDir, emitter.epoch))).toEqual(["adopted", "owner.json"]);
  });
});
