import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AuditEmitter, blockId } from "@sallyport/audit-log";
import { routerId, workloadId } from "@sallyport/identity";
import { Block, Event, StampedBlock } from "@sallyport/proto/audit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuditParts, BlockMaker } from "./testing/audit-parts.ts";

let parts: AuditParts;
beforeAll(async () => {
  parts = await AuditParts.start();
});
afterAll(() => parts[Symbol.asyncDispose]());

const domain = "sallyport.local";
const r1 = routerId(domain, "r1");
const soon = { timeout: 20_000 };

async function maker(id = r1): Promise<BlockMaker> {
  return new BlockMaker(await parts.authority.issue(id));
}

/** Publishes blocks of 40 events until the signal; gives their number. */
async function publishUntil(chain: BlockMaker, signal: AbortSignal): Promise<number> {
  let number = 0;
  while (!signal.aborted) {
    await parts.publish(
      chain.next(Array.from({ length: 40 }, (_, index) => ({ actorName: "patient", callId: `${number}-${index}` }))),
    );
    number += 1;
    await delay(5);
  }
  return number;
}

describe("from the bus to the record", () => {
  test("every field of an event comes back as it was recorded, whatever it holds", async () => {
    await using blocks = await parts.consume();
    void blocks;
    const hostile = "\n\nDROP TABLE audit_events; '\"\\ \0 \t\r {x:String} \\N Ünïcødé 😀 \u2028";
    const given = Event.fromPartial({
      eventId: crypto.randomUUID(),
      timeUnixMs: 1_700_000_000_123,
      kind: "call.finished",
      vantage: "router",
      actorId: hostile,
      actorName: "every-field",
      actorSerial: "ab",
      service: hostile,
      hostId: "h",
      circuitId: "c",
      routerId: "r",
      protocol: "mcp",
      protocolVersion: "2025-06-18",
      method: "tools/call",
      tool: hostile,
      rpcId: '"1"',
      callId: "x",
      argumentsJson: JSON.stringify({ text: hostile }),
      argumentsSha256: "00",
      argumentsBytes: Number.MAX_SAFE_INTEGER,
      decision: "allow",
      decisionId: "d-1",
      ruleIds: [hostile, "b"],
      sliceVersion: 7,
      reason: hostile,
      outcome: "ok",
      errorCode: "E",
      resultPreview: hostile,
      resultSha256: "11",
      resultBytes: 1,
      bytesSent: 2,
      bytesReceived: 3,
      durationUs: 4,
      decideUs: 5,
      tlsGroup: "X25519MLKEM768",
      attributes: { [hostile]: hostile, b: "" },
    });
    await parts.publish((await maker()).next([given]));
    await expect
      .poll(() => parts.search({ actorName: "every-field" }), soon)
      .toEqual([{ ...given, emitterId: r1.uri }]);
  });

  test("a block that is published twice is there once, also beyond the bus's own window", async () => {
    await using blocks = await parts.consume();
    const twice = (await maker()).next([{ actorName: "twice" }, { actorName: "twice" }]);
    for (let copy = 0; copy < 3; copy += 1) await parts.publish(twice);
    await expect.poll(() => blocks.pending(), soon).toBe(0);
    expect(await parts.search({ actorName: "twice" })).toHaveLength(2);
    expect(parts.refused).toEqual([]);
  });

  test("kill -9 of the engine amid inserts loses nothing and doubles nothing", async () => {
    await using blocks = await parts.consume();
    const chain = await maker();
    const total = 120;
    for (let number = 0; number < total; number += 1) {
      await parts.publish(
        chain.next(Array.from({ length: 20 }, (_, index) => ({ actorName: "survivor", callId: `${number}-${index}` }))),
      );
      if (number % 30 === 15 && parts.engine.pid !== null) process.kill(parts.engine.pid, "SIGKILL");
    }
    await expect.poll(() => blocks.pending(), { timeout: 60_000 }).toBe(0);
    const rows = await parts.client.query({
      query: "SELECT count() AS rows, uniqExact(call_id) AS distinct FROM audit_events WHERE actor_name = 'survivor'",
      format: "JSONEachRow",
    });
    expect(await rows.json()).toEqual([{ rows: total * 20, distinct: total * 20 }]);
  }, 90_000);

  test("kill -9 of the sink amid inserts loses nothing and doubles nothing", async () => {
    const chain = await maker();
    await (await parts.consume())[Symbol.asyncDispose]();
    const stop = new AbortController();
    const publishing = publishUntil(chain, stop.signal);
    for (const delayMs of [0, 15]) {
      const sink = parts.forkSink();
      // It tells when it begins to consume, and after each batch just before it acknowledges.
      try {
        for (let told = 0; told < 2; told += 1) await once(sink, "message", { signal: AbortSignal.timeout(20_000) });
        await delay(delayMs);
      } finally {
        sink.kill("SIGKILL");
      }
      await once(sink, "exit");
    }
    stop.abort();
    const published = await publishing;
    await using blocks = await parts.consume();
    await expect.poll(() => blocks.pending(), { timeout: 30_000 }).toBe(0);
    const rows = await parts.client.query({
      query: "SELECT count() AS rows, uniqExact(call_id) AS distinct FROM audit_events WHERE actor_name = 'patient'",
      format: "JSONEachRow",
    });
    expect(await rows.json()).toEqual([{ rows: published * 40, distinct: published * 40 }]);
  }, 90_000);

  test("what a sink stored before it died without an acknowledgement is not stored again", async () => {
    const chain = await maker();
    const first = await parts.consume();
    await first[Symbol.asyncDispose]();
    const orphan = chain.next([{ actorName: "orphan" }]);
    const stamped = StampedBlock.encode(orphan).finish();
    // Rows without their block's own row: a crash between the two inserts.
    const { admitBlock } = await import("./domain/admit-block.ts");
    const admitted = admitBlock(
      { subject: "audit.router", data: stamped, streamSequence: 1, storedAt: new Date() },
      parts.authority.bundle,
    );
    if (admitted.kind !== "admitted") throw new Error(admitted.reason);
    await parts.store.insertEvents([admitted], new Map());
    await parts.publish(orphan);
    await using second = await parts.consume();
    await expect.poll(() => second.pending(), soon).toBe(0);
    const rows = await parts.client.query({
      query: "SELECT count() AS rows FROM audit_events WHERE actor_name = 'orphan'",
      format: "JSONEachRow",
    });
    expect(await rows.json()).toEqual([{ rows: 1 }]);
  });
});

describe("a block that is not what it says", () => {
  async function expectQuarantined(message: StampedBlock, code: string, subject?: string): Promise<void> {
    parts.refused.length = 0;
    const before = await parts.store.totals();
    await using blocks = await parts.consume();
    await parts.publish(message, subject === undefined ? {} : { subject });
    await expect.poll(() => parts.refused.map((refused) => refused.code), soon).toEqual([code]);
    await expect.poll(() => blocks.pending(), soon).toBe(0);
    const after = await parts.store.totals();
    expect(after).toMatchObject({ events: before.events, blocks: before.blocks, quarantined: before.quarantined + 1 });
  }

  test("of another trust domain's authority is set aside", async () => {
    const { createTestAuthority } = await import("@sallyport/testing");
    const rogue = await createTestAuthority(domain);
    await expectQuarantined(new BlockMaker(await rogue.issue(r1)).next([{}]), "SIGNER_UNTRUSTED");
  });

  test("with an altered event is set aside", async () => {
    const message = (await maker()).next([{ decision: "deny" }]);
    const block = Block.decode(message.signedBlock?.block ?? Buffer.alloc(0));
    block.events = block.events.map((bytes) =>
      Buffer.from(Event.encode({ ...Event.decode(bytes), decision: "allow" }).finish()),
    );
    if (message.signedBlock !== undefined) message.signedBlock.block = Buffer.from(Block.encode(block).finish());
    await expectQuarantined(message, "SIGNATURE_INVALID");
  });

  test("handed over by another than its signer is set aside", async () => {
    const message = (await maker(workloadId(domain, "mallory", "1"))).next([{}]);
    await expectQuarantined({ ...message, receivedFrom: workloadId(domain, "alice", "1").uri }, "BLOCK_MISATTRIBUTED");
  });

  test("of a workload on a subject of ours is set aside", async () => {
    await expectQuarantined(
      (await maker(workloadId(domain, "mallory", "1"))).next([{}]),
      "BLOCK_MISATTRIBUTED",
      "audit.policy",
    );
  });

  test.each(["router", "policy", "ca", ""])("of a workload that speaks as %j is set aside", async (vantage) => {
    const mallory = await maker(workloadId(domain, "mallory", "1"));
    const forged = { kind: "identity.revoked", actorName: "local", vantage };
    await expectQuarantined(mallory.next([{}, forged]), "BLOCK_MISATTRIBUTED");
  });

  test("whose events name an emitter themselves is set aside", async () => {
    await expectQuarantined(
      (await maker()).next([{ emitterId: workloadId(domain, "alice", "1").uri }]),
      "EVENT_INVALID",
    );
  });

  test("whose event is dated beyond every calendar is set aside", async () => {
    await expectQuarantined((await maker()).next([{ timeUnixMs: Number.MAX_SAFE_INTEGER }]), "EVENT_INVALID");
  });

  test("that contradicts one on record is set aside", async () => {
    const svid = await parts.authority.issue(r1);
    const epoch = "0123456789abcdef".repeat(2);
    await using blocks = await parts.consume();
    await parts.publish(new BlockMaker(svid, epoch).next([{ actorName: "one" }]));
    await expect.poll(() => parts.search({ actorName: "one" }), soon).toHaveLength(1);
    await blocks[Symbol.asyncDispose]();
    await expectQuarantined(new BlockMaker(svid, epoch).next([{ actorName: "other" }]), "BLOCK_CONTRADICTED");
  });

  test("that is no message at all is set aside", async () => {
    parts.refused.length = 0;
    await using blocks = await parts.consume();
    await parts.bus.jetstream().publish("audit.ca", Buffer.from("\n\nDROP TABLE audit_events"));
    await expect.poll(() => parts.refused.length, soon).toBe(1);
    await expect.poll(() => blocks.pending(), soon).toBe(0);
  });
});

describe("a chain of blocks", () => {
  test("with a block missing is reported, with the numbers", async () => {
    await using blocks = await parts.consume({ gapGraceMs: 50 });
    void blocks;
    const chain = await maker();
    parts.reports.length = 0;
    await parts.publish(chain.next([{}]));
    chain.next([{}]);
    await parts.publish(chain.next([{}]));
    await expect
      .poll(() => parts.reports.map((report) => [report.number, report.finding]), soon)
      .toEqual([[3, { kind: "gap", first: 2, last: 2 }]]);
  });

  test("that was begun anew under the same name is reported", async () => {
    await using blocks = await parts.consume();
    void blocks;
    const svid = await parts.authority.issue(r1);
    const honest = new BlockMaker(svid);
    const other = new BlockMaker(svid, honest.epoch);
    parts.reports.length = 0;
    await parts.publish(honest.next([{ actorName: "a" }]));
    other.next([{ actorName: "b" }]);
    await parts.publish(other.next([{ actorName: "c" }]));
    await expect.poll(() => parts.reports.map((report) => report.finding.kind), soon).toEqual(["previous_mismatch"]);
  });
});

describe("while the bus is away", () => {
  test("emitters spool, and everything arrives once when it is back", async () => {
    const spoolDir = await mkdtemp(join(tmpdir(), "sallyport-spool-"));
    await using blocks = await parts.consume();
    const identity = await parts.source();
    {
      await using emitter = await AuditEmitter.open({
        spoolDir,
        vantage: "router",
        identity,
        publish: async (signedBlock) => {
          const { epoch, number } = Block.decode(signedBlock.block);
          await parts.publish(
            { signedBlock, receivedFrom: r1.uri, receivedBy: r1.uri, receivedAtUnixMs: Date.now() },
            { id: blockId(r1.uri, epoch, number) },
          );
          return "stored";
        },
      });
      emitter.record({ kind: "circuit.opened", actorName: "spooled" });
      await emitter.flush(AbortSignal.timeout(10_000));
      await parts.nats.kill();
      for (let count = 0; count < 1_200; count += 1) emitter.record({ kind: "circuit.closed", actorName: "spooled" });
      await expect(emitter.flush(AbortSignal.timeout(500))).rejects.toThrow("timeout");
      expect(emitter.healthy).toBe(true);
      await parts.nats.start();
      await emitter.flush(AbortSignal.timeout(20_000));
    }
    await expect.poll(() => blocks.pending().catch(() => -1), soon).toBe(0);
    const rows = await parts.client.query({
      query: "SELECT count() AS rows FROM audit_events WHERE actor_name = 'spooled'",
      format: "JSONEachRow",
    });
    expect(await rows.json()).toEqual([{ rows: 1_201 }]);
    await rm(spoolDir, { recursive: true, force: true });
  }, 60_000);
});
