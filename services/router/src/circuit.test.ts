import { once } from "node:events";
import {
  FrameType,
  INITIAL_WINDOW_BYTES,
  MAX_PAYLOAD_BYTES,
  WireCode,
  encodeFrame,
  encodeWindow,
} from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { RawTunnel } from "./testing/raw-tunnel.ts";
import { RouterNetwork, openOf, reachPolicy } from "./testing/router-network.ts";

/** Everything until the other end's FIN. Unlike `for await`, it leaves this end's own direction open. */
async function bytesOf(stream: TunnelStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end", { signal: AbortSignal.timeout(10_000) });
  return Buffer.concat(chunks);
}

async function errorOf(stream: TunnelStream): Promise<unknown> {
  const [error]: unknown[] = await once(stream, "error", { signal: AbortSignal.timeout(5_000) }).catch(
    (cause: unknown) => [cause],
  );
  return error;
}

test("an allowed dial joins dialer and host, and what one sends the other reads, half closes included", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  stream.end("question");
  expect((await bytesOf(hosted)).toString()).toBe("question");
  hosted.end("answer");
  expect((await bytesOf(stream)).toString()).toBe("answer");
  expect(network.router.switchboard.circuits.size).toBe(0);
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "ok", bytesSent: 8, bytesReceived: 6 }]);
});

test("megabytes pass unchanged in both directions at once", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  const hosted = await host.next();
  const sent = Buffer.alloc(5_000_000, "abcdefghijklm");
  stream.end(sent);
  hosted.end(sent);
  const [there, back] = await Promise.all([bytesOf(hosted), bytesOf(stream)]);
  expect(there.equals(sent) && back.equals(sent)).toBe(true);
  expect(network.router.switchboard.bytesForwarded).toBe(10_000_000);
});

test("dialer and host are told of the same circuit, and of each other by what their handshakes proved", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const open = {
    ...openOf("files"),
    dialerId: "spiffe://sallyport.local/workload/somebody/else",
    sliceVersion: 77,
    decisionId: "mine",
  };
  const result = await network.open(dialer, open);
  expect(result.kind).toBe("accepted");
  const seen = host.opens[0]?.open;
  expect(seen).toMatchObject({ service: "files", dialerId: dialer.id.uri, sliceVersion: 1 });
  expect(Buffer.from(seen?.circuitNonce ?? []).equals(open.circuitNonce)).toBe(true);
  if (result.kind === "accepted") {
    expect(result.accept).toMatchObject({
      circuitId: seen?.circuitId,
      hostId: host.id.uri,
      sliceVersion: 1,
      decisionId: seen?.decisionId,
    });
  }
  expect(network.recorded("circuit.opened")).toMatchObject([
    {
      actorId: dialer.id.uri,
      hostId: host.id.uri,
      service: "files",
      decision: "allow",
      ruleIds: ["agent-dials"],
      circuitId: seen?.circuitId,
    },
  ]);
});

test("DATA that comes in one write with the host's ACCEPT follows the ACCEPT to the dialer", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialed = network.circuit(await network.connect("agent"), "files");
  const { streamId } = await raw.next(FrameType.open);
  raw.write(
    Buffer.concat([
      encodeFrame(FrameType.accept, 0, streamId),
      encodeFrame(FrameType.data, 0, streamId, Buffer.from("at once")),
      encodeFrame(FrameType.fin, 0, streamId),
    ]),
  );
  expect((await bytesOf(await dialed)).toString()).toBe("at once");
});

test("a workload may reach what it hosts itself, over one tunnel", async () => {
  const both = { ...reachPolicy, cedarFiles: { "main.cedar": `@id("all") permit (principal, action, resource);` } };
  await using network = await RouterNetwork.start({ policy: both });
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(host, "files");
  const hosted = await host.next();
  const sent = Buffer.alloc(1_000_000, 5);
  stream.end(sent);
  expect((await bytesOf(hosted)).equals(sent)).toBe(true);
});

test("a denied dial never reaches the host", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const result = await network.dial(await network.connect("other"), "files");
  expect(result).toMatchObject({ kind: "refused", refusal: { code: "POLICY_DENIED" } });
  // A dial that is allowed comes after it on the same host tunnel: nothing was on its way before.
  await network.circuit(await network.connect("agent"), "files");
  expect(host.opens).toHaveLength(1);
  expect(network.recorded("circuit.refused")).toMatchObject([
    { actorName: "other", decision: "deny", outcome: "denied" },
  ]);
});

test("a service that is not permitted and one that does not exist are refused alike, and the record tells them apart", async () => {
  await using network = await RouterNetwork.start();
  const dialer = await network.connect("agent");
  const refusals = [];
  for (const service of ["secret", "nothing"]) {
    const result = await network.dial(dialer, service);
    if (result.kind === "refused")
      refusals.push({ ...result.refusal, decisionId: "", message: result.refusal.message.replace(service, "X") });
  }
  expect(refusals[0]).toEqual(refusals[1]);
  expect(network.recorded("circuit.refused").map(({ errorCode }) => errorCode)).toEqual([
    "POLICY_DENIED",
    "SERVICE_UNKNOWN",
  ]);
});

test("a service that a rule forbids is refused with the rule's name and a decision that the record knows", async () => {
  await using network = await RouterNetwork.start();
  const result = await network.dial(await network.connect("agent"), "vault");
  expect(result).toMatchObject({ kind: "refused", refusal: { code: "POLICY_DENIED", ruleIds: ["no-vault"] } });
  const decisionId = result.kind === "refused" ? result.refusal.decisionId : "";
  expect(network.recorded("circuit.refused")).toMatchObject([{ decisionId, ruleIds: ["no-vault"] }]);
});

test("an allowed dial without a host is refused with NO_HOST, and so is one whose host does not answer", async () => {
  await using network = await RouterNetwork.start({ limits: { hostAnswerMs: 50 } });
  const dialer = await network.connect("agent");
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  await network.host("shelf", ["files"], { onOpen: () => undefined });
  const unanswered = await network.dial(dialer, "files");
  expect(unanswered).toMatchObject({ refusal: { code: "NO_HOST", decisionId: expect.stringMatching(/./) } });
  const decisionId = unanswered.kind === "refused" ? unanswered.refusal.decisionId : "";
  expect(network.recorded("circuit.refused").at(-1)).toMatchObject({ decisionId, decision: "allow", outcome: "error" });
});

test("a host's refusal is passed on as the host's word; a host that drains or is full is passed over", async () => {
  await using network = await RouterNetwork.start();
  const no = (code: string) => ({ code, message: "not now", decisionId: "d", ruleIds: ["r"], sliceVersion: 3 });
  const dialer = await network.connect("agent");
  const draining = await network.host("shelf", ["files"], { onOpen: (incoming) => incoming.refuse(no("DRAINING")) });
  expect(await network.dial(dialer, "files")).toMatchObject({
    refusal: { code: "HOST_REFUSED", decisionId: "d", ruleIds: ["r"] },
  });
  await network.host("shelf", ["files"]);
  await network.circuit(dialer, "files");
  await network.circuit(dialer, "files");
  await draining.tunnel.close();
});

test("a host cannot end the tunnel of who dials it by the largest refusal that it can send", async () => {
  await using network = await RouterNetwork.start();
  const ruleIds = [...Array.from({ length: 15 }, () => "é".repeat(128)), "é".repeat(100)];
  const said = { code: "", message: "", decisionId: "", ruleIds, sliceVersion: 0 };
  await network.host("shelf", ["files"], { onOpen: (incoming) => incoming.refuse(said) });
  const dialer = await network.connect("agent");
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
});

test("a workload that policy does not let host is refused, and is not dialed", async () => {
  await using network = await RouterNetwork.start();
  const impostor = await network.host("other", ["files"]);
  expect(impostor.results).toMatchObject([{ accepted: false, refusal: { code: "POLICY_DENIED" } }]);
  expect(await network.dial(await network.connect("agent"), "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  expect(impostor.opens).toHaveLength(0);
  expect(network.recorded("host.refused")).toMatchObject([{ actorName: "other", service: "files", decision: "deny" }]);
});

test("a slow reader stalls its own stream at its credit, and no other", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const slow = await network.circuit(dialer, "files");
  const unread = await host.next();
  const sent = Buffer.alloc(4_000_000);
  slow.write(sent);
  const quick = await network.circuit(dialer, "files");
  const read = await host.next();
  quick.end(sent);
  expect(await bytesOf(read)).toHaveLength(sent.length);
  const [stalled] = [...network.router.switchboard.circuits.values()];
  expect(stalled?.dialerLeg.bytes).toBe(INITIAL_WINDOW_BYTES);
  // Credit was all that held it.
  let received = 0;
  for await (const chunk of unread) {
    received += chunk.length;
    if (received === sent.length) break;
  }
  expect(received).toBe(sent.length);
});

test("half a frame stalls nobody but its sender", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const raw = await RawTunnel.connect(network, "agent");
  raw.open(1, "files");
  await raw.next(FrameType.accept);
  const held = await host.next();
  const frame = encodeFrame(FrameType.data, 0, 1, Buffer.alloc(MAX_PAYLOAD_BYTES, 7));
  raw.write(frame.subarray(0, 5_000));
  const other = await network.circuit(await network.connect("agent"), "files");
  const hosted = await host.next();
  other.end("through");
  expect((await bytesOf(hosted)).toString()).toBe("through");
  raw.write(frame.subarray(5_000));
  const [chunk]: Buffer[] = await once(held, "data");
  expect(chunk?.every((byte) => byte === 7)).toBe(true);
});

test("DATA beyond the credit ends the sender's tunnel, and nobody else's", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const raw = await RawTunnel.connect(network, "agent");
  raw.open(1, "files");
  await raw.next(FrameType.accept);
  const flooded = await host.next();
  const failed = errorOf(flooded);
  const flood = encodeFrame(FrameType.data, 0, 1, Buffer.alloc(MAX_PAYLOAD_BYTES));
  for (let sent = 0; sent <= INITIAL_WINDOW_BYTES; sent += MAX_PAYLOAD_BYTES) raw.write(flood);
  const goaway = await raw.next(FrameType.goaway);
  expect(goaway.payload.readUInt32BE()).toBe(WireCode.flowControl);
  expect(await failed).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.gone });
  await network.circuit(await network.connect("agent"), "files");
});

test("credit that nobody could hold ends the tunnel that grants it", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialer = await network.connect("agent");
  const dialed = network.circuit(dialer, "files");
  const { streamId } = await raw.next(FrameType.open);
  raw.accept(streamId);
  const stream = await dialed;
  raw.write(encodeWindow(streamId, 0xffff_ffff));
  expect(await errorOf(stream)).toMatchObject({ wireCode: WireCode.gone });
  expect((await raw.next(FrameType.goaway)).payload.readUInt32BE()).toBe(WireCode.flowControl);
});

test("frames of streams that were never opened, or with ids of the router's, end the tunnel; frames of streams that are over do not", async () => {
  await using network = await RouterNetwork.start();
  await network.host("shelf", ["files"]);
  for (const streamId of [9, 2]) {
    const raw = await RawTunnel.connect(network, "agent");
    raw.frame(FrameType.data, streamId, Buffer.alloc(1));
    expect((await raw.next(FrameType.goaway)).payload.readUInt32BE()).toBe(WireCode.protocol);
  }
  const raw = await RawTunnel.connect(network, "agent");
  raw.open(1, "files");
  await raw.next(FrameType.accept);
  raw.write(
    Buffer.concat([
      encodeFrame(FrameType.reset, 0, 1, Buffer.alloc(4)),
      encodeFrame(FrameType.data, 0, 1, Buffer.alloc(10)),
    ]),
  );
  raw.open(3, "files");
  await raw.next(FrameType.accept);
});

test("a reset by one end reaches the other with its code", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  const hosted = await host.next();
  stream.on("error", () => undefined);
  stream.reset(WireCode.cancelled);
  expect(await errorOf(hosted)).toMatchObject({ wireCode: WireCode.cancelled });
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "cancelled", errorCode: "cancelled" }]);
});

test("a dial that its dialer gives up is taken back from the host", async () => {
  await using network = await RouterNetwork.start();
  const withdrawn = Promise.withResolvers<void>();
  await network.host("shelf", ["files"], {
    onOpen: ({ signal }) => signal.addEventListener("abort", () => withdrawn.resolve()),
  });
  const dialer = await network.connect("agent");
  const giveUp = new AbortController();
  const dialed = dialer.tunnel.openStream(openOf("files"), { signal: giveUp.signal });
  setTimeout(() => giveUp.abort(new Error("no longer")), 50);
  await expect(dialed).rejects.toThrow("no longer");
  await withdrawn.promise;
  expect(network.recorded("circuit.refused")).toMatchObject([
    { actorName: "agent", service: "files", decision: "allow", outcome: "cancelled" },
  ]);
});

test("when the host's tunnel goes, its circuits end, it is dialed no more, and what it offered is withdrawn", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  host.tunnel.abort(WireCode.internal);
  expect(await errorOf(stream)).toMatchObject({ wireCode: WireCode.gone });
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  expect(network.recorded("host.withdrawn")).toMatchObject([{ service: "files" }]);
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "disconnected" }]);
});

test("an OPEN without a nonce, or beyond the rate, is refused, and the tunnel lives", async () => {
  await using network = await RouterNetwork.start({
    limits: { openBurstPerIdentity: 2, opensPerSecondPerIdentity: 0.001 },
  });
  await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const bare = { ...openOf("files"), circuitNonce: Buffer.alloc(0) };
  expect(await network.open(dialer, bare)).toMatchObject({ refusal: { code: "PROTOCOL" } });
  expect(await network.dial(dialer, "files")).toMatchObject({ kind: "accepted" });
  for (let dials = 0; dials < 3; dials += 1)
    expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "OVERLOADED" } });
});

test("an OPEN that is refused before policy is asked is on record, a flood of them as a count", async () => {
  await using network = await RouterNetwork.start({
    limits: { openBurstPerIdentity: 1, opensPerSecondPerIdentity: 0.001, recordedRefusalsPerSecond: 1 },
  });
  const dialer = await network.connect("agent");
  const bare = { ...openOf("files"), circuitNonce: Buffer.alloc(0) };
  await network.open(dialer, bare);
  for (let dials = 0; dials < 3; dials += 1) await network.dial(dialer, "files");
  await expect
    .poll(
      async () => {
        await network.dial(dialer, "files");
        return network.recorded("circuit.refused");
      },
      { timeout: 5_000 },
    )
    .toMatchObject([
      { errorCode: "PROTOCOL", actorName: "agent", service: "files", outcome: "error" },
      { errorCode: "OVERLOADED", attributes: { unrecorded: expect.stringMatching(/^[1-9]\d*$/) } },
    ]);
});

test("a draining router refuses new streams, lets open ones end, and then closes its tunnels", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const goaway = Promise.withResolvers<void>();
  const dialer = await network.connect("agent", { onGoaway: () => goaway.resolve() });
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  const askedBy = (await network.authority.source(network.workloadId("nobody"))).current();
  network.router.drain.order({ deadlineMs: 30_000, askedBy, reason: "" });
  await goaway.promise;
  expect(await network.dial(dialer, "files")).toMatchObject({ kind: "refused", refusal: { code: "DRAINING" } });
  stream.end("last words");
  expect((await bytesOf(hosted)).toString()).toBe("last words");
  hosted.end();
  stream.resume();
  await network.router.drain.over;
  await dialer.tunnel.closed;
  expect(network.recorded("tunnel.closed").map(({ reason }) => reason)).toContain("The router drained.");
});
