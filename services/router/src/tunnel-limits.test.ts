/** What a workload with a proven identity may take of a router, and what it hears beyond that. */
import { once } from "node:events";
import { FrameType, INITIAL_WINDOW_BYTES, WireCode, encodeWindow } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import type { Circuit } from "./domain/circuit.ts";
import { RawTunnel } from "./testing/raw-tunnel.ts";
import { RouterNetwork, type TestWorkload } from "./testing/router-network.ts";

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error("not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function onlyCircuit(network: RouterNetwork): Circuit {
  const [circuit] = [...network.router.switchboard.circuits.values()];
  if (circuit === undefined) throw new Error("no circuit");
  return circuit;
}

/** A host that speaks frame by frame, with one circuit on which the dialer sends as much as it may. */
async function pouredInto(
  network: RouterNetwork,
): Promise<{ readonly raw: RawTunnel; readonly dialer: TestWorkload; readonly stream: TunnelStream }> {
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialer = await network.connect("agent");
  const dialed = network.circuit(dialer, "files");
  raw.accept((await raw.next(FrameType.open)).streamId);
  const stream = await dialed;
  const block = Buffer.alloc(1_048_576);
  const pour = (): void => {
    while (!stream.destroyed && stream.write(block));
  };
  stream.on("drain", pour);
  pour();
  return { raw, dialer, stream };
}

test("what waits for a stream whose reader grants nothing is its window, however much its sender has", async () => {
  await using network = await RouterNetwork.start();
  const { raw, dialer } = await pouredInto(network);
  const { dialerLeg } = onlyCircuit(network);
  await until(() => dialerLeg.credit.availableBytes === 0);
  // What the dialer sent before this OPEN is ahead of it.
  expect(await network.dial(dialer, "vault")).toMatchObject({ kind: "refused" });
  expect(dialerLeg.bytes).toBe(INITIAL_WINDOW_BYTES);
  raw.socket.destroy();
});

test("maxQueuedBytesPerStream: a reader that grants what it does not read loses the stream, and keeps its tunnel", async () => {
  await using network = await RouterNetwork.start({ limits: { maxQueuedBytesPerStream: 3_000_000 } });
  const { raw, stream } = await pouredInto(network);
  const circuit = onlyCircuit(network);
  raw.socket.pause();
  const closed = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  for (let granted = 0; !stream.destroyed && granted < 64; granted += 1) {
    await until(() => circuit.dialerLeg.credit.availableBytes === 0 || stream.destroyed);
    raw.write(encodeWindow(circuit.hostLeg.streamId, 1_048_576));
    await until(() => circuit.dialerLeg.credit.availableBytes > 0 || stream.destroyed);
  }
  await closed;
  expect(stream.errored).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.limit });
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "error", errorCode: "OVERLOADED" }]);
  expect(network.router.counters.shed).toEqual({ maxQueuedBytesPerStream: 1 });
  raw.socket.resume();
  await raw.next(FrameType.reset);
  expect(network.router.switchboard.tunnels.size).toBe(2);
});

test("maxStreamsPerTunnel: one stream more is refused with OVERLOADED, until one ends", async () => {
  await using network = await RouterNetwork.start({ limits: { maxStreamsPerTunnel: 2 } });
  const host = await network.host("shelf", ["files"]);
  const raw = await RawTunnel.connect(network, "agent");
  for (const streamId of [1, 3]) {
    raw.open(streamId, "files");
    await raw.next(FrameType.accept);
  }
  raw.open(5, "files");
  expect((await raw.next(FrameType.refuse)).payload.toString()).toContain("OVERLOADED");
  expect(network.router.counters.shed).toEqual({ maxStreamsPerTunnel: 1 });
  (await host.next()).destroy();
  await raw.next(FrameType.reset);
  raw.open(7, "files");
  await raw.next(FrameType.accept);
});

test("opensPerSecondPerIdentity: a second tunnel of the same identity is no way around the rate, another identity has its own", async () => {
  await using network = await RouterNetwork.start({
    limits: { opensPerSecondPerIdentity: 0.001, openBurstPerIdentity: 2 },
  });
  await network.host("shelf", ["files"]);
  const agent = await network.authority.source(network.workloadId("agent"));
  const [one, two] = [await network.connectAs(agent), await network.connectAs(agent)];
  await network.circuit(one, "files");
  await network.circuit(two, "files");
  expect(await network.dial(two, "files")).toMatchObject({ refusal: { code: "OVERLOADED" } });
  expect(network.router.counters.shed).toEqual({ opensPerSecondPerIdentity: 1 });
  const again = await network.connectAs(agent);
  expect(await network.dial(again, "files")).toMatchObject({ refusal: { code: "OVERLOADED" } });
  await network.circuit(
    await network.connectAs(await network.authority.source(network.workloadId("agent", "2"))),
    "files",
  );
});

test("maxServicesPerTunnel: one announcement more ends the tunnel", async () => {
  await using network = await RouterNetwork.start({ limits: { maxServicesPerTunnel: 2 } });
  const host = await network.host("shelf", ["files", "vault"]);
  const raw = await RawTunnel.connect(network, "shelf");
  for (const service of ["files", "vault", "secret"]) raw.announce(service);
  await raw.closed();
  expect(network.recorded("tunnel.closed")).toMatchObject([
    { reason: expect.stringContaining("More than 2 services") },
  ]);
  expect(host.results).toHaveLength(2);
});

test("a name of a service beyond 255 characters is refused in an OPEN, and ends the tunnel in an announcement", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.open(1, "x".repeat(256));
  expect((await raw.next(FrameType.refuse)).payload.toString()).toContain("PROTOCOL");
  raw.announce("x".repeat(256));
  await raw.closed();
  expect(network.recorded("tunnel.closed")).toMatchObject([{ reason: expect.stringContaining("too long") }]);
});

test("maxTunnels: a full router turns a workload away with `unavailable`, and takes it when a tunnel ends", async () => {
  await using network = await RouterNetwork.start({ limits: { maxTunnels: 1 } });
  const first = await network.connect("agent");
  await expect(network.connect("other")).rejects.toMatchObject({
    message: expect.stringContaining("unavailable"),
  });
  expect(network.recorded("tunnel.refused")).toMatchObject([{ errorCode: "OVERLOADED", actorName: "other" }]);
  expect(network.router.counters.shed).toEqual({ maxTunnels: 1 });
  first.tunnel.abort(WireCode.none);
  await until(() => network.router.switchboard.tunnels.size === 0);
  await network.connect("other");
});

test("maxHostAttempts: so many hosts are asked, and then the dial is refused", async () => {
  await using network = await RouterNetwork.start({ limits: { maxHostAttempts: 2 } });
  const full = { code: "OVERLOADED", message: "full", decisionId: "", ruleIds: [], sliceVersion: 0 };
  let asked = 0;
  for (let hosts = 0; hosts < 3; hosts += 1) {
    await network.host("shelf", ["files"], {
      onOpen: (incoming) => {
        asked += 1;
        incoming.refuse(full);
      },
    });
  }
  expect(await network.dial(await network.connect("agent"), "files")).toMatchObject({ kind: "refused" });
  expect(asked).toBe(2);
});

test("overloadDelayMs: a late router takes no new dial and no new tunnel, and what it carries goes on", async () => {
  let delayMs = 0;
  await using network = await RouterNetwork.start({ loopDelayMs: () => delayMs });
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  delayMs = 251;
  expect(await network.dial(dialer, "files")).toMatchObject({
    refusal: { code: "OVERLOADED", message: expect.stringContaining("takes nothing new") },
  });
  await expect(network.connect("other")).rejects.toThrow();
  expect(network.recorded("tunnel.refused")).toMatchObject([{ reason: "overloaded" }]);
  expect(network.router.counters.shed).toEqual({ overloadDelayMs: 2 });
  stream.write("still here");
  const [chunk]: Buffer[] = await once(hosted, "data");
  expect(chunk?.toString()).toBe("still here");
  delayMs = 0;
  await network.circuit(dialer, "files");
});
