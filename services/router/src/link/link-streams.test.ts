import { FrameType, WireCode } from "@sallyport/frame";
import { Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { expect, test } from "vitest";
import {
  acceptNext,
  announceShelf,
  dialFor,
  goawayOf,
  refusalCodeOf,
  withOtherRouter,
} from "../testing/other-router.ts";

test("an OPEN over a link says who dials, for which host, and by which decision; its ACCEPT names the host", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const hostId = await announceShelf(network, raw);
  const dialer = await network.connect("agent");
  const dialed = network.dial(dialer, "files");
  const { streamId, payload } = await raw.next(FrameType.open);
  const [tunnel] = [...network.router.switchboard.tunnels];
  const open = StreamOpen.decode(payload);
  expect(open).toMatchObject({
    service: "files",
    dialerId: dialer.id.uri,
    dialerSerial: tunnel?.peer.serial,
    dialerIssuers: tunnel?.peer.issuers,
    hostId,
    sliceVersion: 1,
  });
  raw.frame(FrameType.accept, streamId, StreamAccept.encode(StreamAccept.create({ hostId })).finish());
  const result = await dialed;
  expect(result).toMatchObject({ accept: { hostId, circuitId: open.circuitId, decisionId: open.decisionId } });
});

test("a router that accepts for another host than it was asked for loses its link", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  await announceShelf(network, raw);
  const dialed = network.dial(await network.connect("agent"), "files");
  await acceptNext(raw, network.workloadId("other").uri);
  expect(await dialed).toMatchObject({ refusal: { code: "NO_HOST" } });
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
});

test.each(["NO_HOST", "HOST_DOWN", "DRAINING", "OVERLOADED", "HEAD_STALE"])(
  "after a router's %s the next host is asked",
  async (code) => {
    const { network, raw } = await withOtherRouter();
    await using _ = network;
    const hostId = await announceShelf(network, raw);
    const near = await network.host("shelf", ["files"], { instance: "2" });
    const [behindLink, local] = network.router.switchboard.hosts.of("files");
    if (behindLink === undefined || local === undefined) throw new Error("two hosts");
    network.router.switchboard.hosts.setPreference(local, { cost: 1_000, precedence: 0 });
    const dialed = network.dial(await network.connect("agent"), "files");
    const { streamId } = await raw.next(FrameType.open);
    raw.frame(FrameType.refuse, streamId, Refusal.encode(Refusal.create({ code, message: "no" })).finish());
    expect(await dialed).toMatchObject({ kind: "accepted", accept: { hostId: near.id.uri } });
    expect(hostId).not.toBe(near.id.uri);
  },
);

test.each(["POLICY_DENIED", "HOST_REFUSED"])("a router's %s is the dialer's answer, as it is", async (code) => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  await announceShelf(network, raw);
  const dialed = network.dial(await network.connect("agent"), "files");
  const { streamId } = await raw.next(FrameType.open);
  const said = Refusal.create({ code, message: "not this one", decisionId: "theirs", ruleIds: ["r"] });
  raw.frame(FrameType.refuse, streamId, Refusal.encode(said).finish());
  expect(await dialed).toMatchObject({
    refusal: { code, message: "not this one", decisionId: "theirs", ruleIds: ["r"] },
  });
});

test("a dial for a host that is not on this router is refused, and never passed on", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  raw.open(1, "files", dialFor(network, network.workloadId("shelf", "2").uri));
  expect(await refusalCodeOf(raw)).toBe("NO_HOST");
  raw.open(3, "files", dialFor(network, host.id.uri));
  await raw.next(FrameType.accept);
});

test.each([
  ["a workload that policy does not know", { dialerId: "spiffe://sallyport.local/workload/nobody/1" }, "POLICY_DENIED"],
  ["a router as the dialer", { dialerId: "spiffe://sallyport.local/router/0" }, "PROTOCOL"],
  ["a dialer of another trust domain", { dialerId: "spiffe://elsewhere.example/workload/agent/1" }, "PROTOCOL"],
  ["a dialer without a serial", { dialerSerial: "" }, "PROTOCOL"],
  ["a dialer without an issuer", { dialerIssuers: [] }, "PROTOCOL"],
  ["no circuit id", { circuitId: "" }, "PROTOCOL"],
  ["no nonce", { circuitNonce: Buffer.alloc(0) }, "PROTOCOL"],
])("an OPEN over a link with %s is refused, and is on record", async (_what, change, code) => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  raw.open(1, "files", dialFor(network, host.id.uri, change));
  expect(await refusalCodeOf(raw)).toBe(code);
  expect(host.opens).toHaveLength(0);
  expect(network.recorded("circuit.refused")).toMatchObject([
    { errorCode: code, attributes: { dialer_router: expect.stringContaining("/router/0") } },
  ]);
});

test("a router that lacks the policy by which the other one allowed a dial says so, instead of denying it", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  const dialerId = network.workloadId("other").uri;
  raw.open(1, "files", dialFor(network, host.id.uri, { dialerId, sliceVersion: 2 }));
  expect(await refusalCodeOf(raw)).toBe("HEAD_STALE");
  raw.open(3, "files", dialFor(network, host.id.uri, { dialerId, sliceVersion: 1 }));
  expect(await refusalCodeOf(raw)).toBe("POLICY_DENIED");
  expect(network.recorded("circuit.refused")).toMatchObject([{ decision: "deny" }, { decision: "deny" }]);
});

test("the deny-list holds for a dialer behind a link: by serial and by issuer too", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  raw.open(1, "files", dialFor(network, host.id.uri));
  await raw.next(FrameType.accept);
  network.apply(network.author.deny({ $case: "serial", value: "0c" }));
  expect((await raw.next(FrameType.reset)).payload.readUInt32BE()).toBe(WireCode.revoked);
  raw.open(3, "files", dialFor(network, host.id.uri));
  expect(await refusalCodeOf(raw)).toBe("IDENTITY_DENIED");
  network.apply(network.author.deny({ $case: "issuer", value: "0e" }));
  raw.open(5, "files", dialFor(network, host.id.uri, { dialerSerial: "0f", dialerIssuers: ["0d", "0e"] }));
  expect(await refusalCodeOf(raw)).toBe("IDENTITY_DENIED");
});

test("a circuit id that is in use is refused: no router ends another's circuit by its id", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  const open = dialFor(network, host.id.uri);
  raw.open(1, "files", open);
  await raw.next(FrameType.accept);
  raw.open(3, "files", open);
  expect(await refusalCodeOf(raw)).toBe("PROTOCOL");
  expect(network.router.switchboard.circuits.size).toBe(1);
});
