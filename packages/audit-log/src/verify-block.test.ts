import { workloadId } from "@sallyport/identity";
import { Block, Event, type SignedBlock } from "@sallyport/proto/audit";
import { type TestAuthority, createTestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { NO_PREVIOUS, packBlock, signBlock } from "./block.ts";
import { completeEvent } from "./event.ts";
import { merkleRoot } from "./merkle-root.ts";
import { verifyBlock } from "./verify-block.ts";

const alice = workloadId("sallyport.local", "alice", "1");
let authority: TestAuthority;
beforeAll(async () => {
  authority = await createTestAuthority();
});

const encoded = (event: Partial<Event> = {}): Buffer =>
  Buffer.from(Event.encode({ ...completeEvent({ kind: "call.started" }, "host", Date.now()), ...event }).finish());

async function signed(
  events: readonly Buffer[],
  change: Partial<Block> = {},
  from: TestAuthority = authority,
): Promise<SignedBlock> {
  const plain = packBlock({ epoch: "0".repeat(32), number: 1, previous: NO_PREVIOUS, events, timeUnixMs: Date.now() });
  return signBlock(Buffer.from(Block.encode({ ...Block.decode(plain), ...change }).finish()), await from.issue(alice));
}

const verify = (block: SignedBlock, at: Date = new Date()): ReturnType<typeof verifyBlock> =>
  verifyBlock(block, authority.bundle, at);

describe("a block", () => {
  test("of a workload's key is believed, and its events are that workload's", async () => {
    const { events, signer } = verify(await signed([encoded({ tool: "echo" }), encoded()]));
    expect(events.map((event) => event.emitterId)).toEqual([alice.uri, alice.uri]);
    expect(signer.identity.id.uri).toBe(alice.uri);
  });

  test("of a root outside the bundle is refused", async () => {
    const rogue = await createTestAuthority();
    await expect(signed([encoded()], {}, rogue).then((block) => verify(block))).rejects.toMatchObject({
      code: "SIGNER_UNTRUSTED",
    });
  });

  test("of another trust domain is refused", async () => {
    const other = await createTestAuthority("other.test");
    const plain = packBlock({
      epoch: "0".repeat(32),
      number: 1,
      previous: NO_PREVIOUS,
      events: [encoded()],
      timeUnixMs: Date.now(),
    });
    const foreign = signBlock(plain, await other.issue(workloadId("other.test", "alice", "1")));
    expect(() => verify(foreign)).toThrow(expect.objectContaining({ code: "SIGNER_UNTRUSTED" }));
  });

  test("after its signer's certificate ended is refused", async () => {
    const block = await signed([encoded()]);
    expect(() => verify(block, new Date(Date.now() + 2 * 3_600_000))).toThrow(
      expect.objectContaining({ code: "SIGNER_UNTRUSTED" }),
    );
  });

  test("with one bit turned anywhere is refused", async () => {
    const block = await signed([encoded()]);
    for (const at of [0, block.block.length >> 1, block.block.length - 1]) {
      const bytes = Buffer.from(block.block);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      expect(() => verify({ ...block, block: bytes })).toThrow(expect.objectContaining({ code: "SIGNATURE_INVALID" }));
    }
  });

  test("under the certificate of another key is refused", async () => {
    const block = await signed([encoded()]);
    const { certificateChain } = await authority.issue(workloadId("sallyport.local", "bob", "1"));
    expect(() => verify({ ...block, certificateChain: [...certificateChain] })).toThrow(
      expect.objectContaining({ code: "SIGNATURE_INVALID" }),
    );
  });

  test("whose signature was made for something else with the same bytes is refused", async () => {
    const svid = await authority.issue(alice);
    const block = await signed([encoded()]);
    const { sign } = await import("@sallyport/identity");
    const bare = {
      block: block.block,
      certificateChain: [...svid.certificateChain],
      signature: sign(svid.privateKey, block.block),
    };
    expect(() => verify(bare)).toThrow(expect.objectContaining({ code: "SIGNATURE_INVALID" }));
  });

  test("whose root is over other events is refused", async () => {
    const block = await signed([encoded()], { merkleRoot: merkleRoot([encoded()]) });
    expect(() => verify(block)).toThrow(expect.objectContaining({ code: "MERKLE_ROOT_MISMATCH" }));
  });

  test.each<[string, Partial<Block>]>([
    ["an epoch that is none", { epoch: "../../etc" }],
    ["number 0", { number: 0 }],
    ["a short previous hash", { previous: Buffer.alloc(31) }],
  ])("with %s is refused", async (_, change) => {
    const block = await signed([encoded()], change);
    expect(() => verify(block)).toThrow(expect.objectContaining({ code: "BLOCK_MALFORMED" }));
  });

  test("with no event, or more than 500, is refused", async () => {
    const none = await signed([]);
    const many = await signed(Array.from({ length: 501 }, () => encoded()));
    for (const block of [none, many])
      expect(() => verify(block)).toThrow(expect.objectContaining({ code: "BLOCK_LIMIT_EXCEEDED" }));
  });

  test.each<[string, Partial<Event>]>([
    ["emitter_id", { emitterId: alice.uri }],
    ["event_id", { eventId: "1" }],
    ["kind", { kind: "Call" }],
    ["time_unix_ms", { timeUnixMs: -1 }],
    ["time_unix_ms", { timeUnixMs: Date.now() + 3_600_000 }],
    ["arguments_json", { argumentsJson: "x".repeat(4_097) }],
    ["result_preview", { resultPreview: "ü".repeat(513) }],
    ["reason", { reason: "x".repeat(1_025) }],
    ["rule_ids", { ruleIds: Array.from({ length: 33 }, () => "r") }],
    ["attributes", { attributes: Object.fromEntries(Array.from({ length: 33 }, (__, index) => [String(index), ""])) }],
    ["attributes", { attributes: { long: "x".repeat(257) } }],
  ])("with an event that breaks the rule of %s is refused", async (field, change) => {
    const block = await signed([encoded(change)]);
    expect(() => verify(block)).toThrow(expect.objectContaining({ code: "EVENT_INVALID", field }));
  });
});

test("whatever a caller records, the completed event passes the verifier", async () => {
  const wild = "😀".repeat(10_000);
  const event = completeEvent(
    {
      kind: "call.finished",
      emitterId: "spiffe://sallyport.local/admin/root",
      argumentsJson: wild,
      resultPreview: wild,
      reason: wild,
      bytesSent: -1,
      durationUs: Number.NaN,
      resultBytes: Number.POSITIVE_INFINITY,
      decideUs: 1.5,
      ruleIds: Array.from({ length: 100 }, () => wild),
      attributes: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${index}${wild}`, wild])),
      timeUnixMs: Number.MAX_SAFE_INTEGER,
    },
    "host",
    Date.now(),
  );
  const { events } = verify(await signed([Buffer.from(Event.encode(event).finish())]));
  expect(events[0]).toMatchObject({ emitterId: alice.uri, bytesSent: 0, durationUs: 0, decideUs: 1 });
});
