import { once } from "node:events";
import { connect } from "node:net";
import { FrameType, WireCode, u32At } from "@sallyport/frame";
import { DrainRequest } from "@sallyport/proto/router";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { drain } from "./rpc/drain.ts";
import { drainMessage } from "./rpc/drain-message.ts";
import { adminCall } from "./testing/admin-call.ts";
import { RawTunnel } from "./testing/raw-tunnel.ts";
import { RouterNetwork } from "./testing/router-network.ts";

async function errorOf(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", () => resolve()));
  return stream.errored;
}

async function order(network: RouterNetwork, deadlineMs: number | undefined, reason = "upgrade"): Promise<number> {
  const request = DrainRequest.create({ deadlineMs, reason });
  return (await drain(network.router)(request, await adminCall(network.authority))).deadlineUnixMs;
}

test("what runs goes on to the deadline, is reset with `drained` on both sides, and then the tunnels close", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  const orderedAt = Date.now();
  const deadlineUnixMs = await order(network, 400);
  expect(deadlineUnixMs).toBeGreaterThanOrEqual(orderedAt + 400);
  stream.write("still here");
  const [chunk]: Buffer[] = await once(hosted, "data");
  expect(chunk?.toString()).toBe("still here");
  expect(await errorOf(stream)).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.drained });
  expect(await errorOf(hosted)).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.drained });
  // A timer may be a millisecond ahead of the clock.
  expect(Date.now()).toBeGreaterThanOrEqual(deadlineUnixMs - 2);
  await Promise.all([dialer.tunnel.closed, host.tunnel.closed]);
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "disconnected", errorCode: "DRAINED" }]);
  expect(network.recorded("tunnel.closed")).toMatchObject([{ outcome: "ok" }, { outcome: "ok" }]);
});

test("from the order on every tunnel is told by GOAWAY 0, new streams are refused, and nobody new gets in", async () => {
  await using network = await RouterNetwork.start();
  await network.host("shelf", ["files"]);
  const raw = await RawTunnel.connect(network, "agent");
  raw.open(1, "files");
  await raw.next(FrameType.accept);
  await order(network, 60_000);
  expect(u32At((await raw.next(FrameType.goaway)).payload, 0)).toBe(0);
  raw.open(3, "files");
  expect((await raw.next(FrameType.refuse)).payload.toString()).toContain("DRAINING");
  const late = connect(network.router.address);
  await expect(once(late, "connect")).rejects.toThrow("ECONNREFUSED");
  raw.socket.destroy();
});

test("it ends as soon as nothing runs, long before its deadline", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  await order(network, 3_600_000);
  stream.resume().end();
  hosted.resume().end();
  await network.router.drain.over;
  await dialer.tunnel.closed;
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "ok" }]);
});

test("a further drain moves the deadline, and each order is on record with who asked", async () => {
  await using network = await RouterNetwork.start();
  await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  const first = await order(network, undefined, "upgrade");
  expect(first - Date.now()).toBeGreaterThan(59_000);
  await order(network, 50, "now, please");
  expect(await errorOf(stream)).toMatchObject({ wireCode: WireCode.drained });
  const draining = { actorId: "spiffe://sallyport.local/admin/local", actorName: "local", outcome: "ok" };
  expect(network.recorded("router.draining")).toMatchObject([
    {
      ...draining,
      reason: "upgrade",
      attributes: { tunnels: "2", circuits: "1", deadline: new Date(first).toISOString() },
    },
    { ...draining, reason: "now, please" },
  ]);
  expect(network.recorded("router.drained")).toMatchObject([
    { ...draining, reason: "now, please", attributes: { tunnels: "2", circuits: "1" } },
  ]);
});

test("a drained router stays drained, says so, and a further order changes nothing", async () => {
  await using network = await RouterNetwork.start();
  const { router } = network;
  expect(drainMessage(router.drain.phase)).toBe(undefined);
  const deadlineUnixMs = await order(network, 60_000);
  await router.drain.over;
  expect(await order(network, 1)).toBe(deadlineUnixMs);
  expect(drainMessage(router.drain.phase)).toMatchObject({
    drained: true,
    deadlineUnixMs,
    askedBy: "spiffe://sallyport.local/admin/local",
    reason: "upgrade",
  });
  expect(router.notAdmittingBecause).toBe("it has drained");
  expect(network.recorded("router.draining")).toHaveLength(1);
});

test("a dial that waits for its host at the deadline is refused with DRAINING, and the host is told", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialed = network.dial(await network.connect("agent"), "files");
  await raw.next(FrameType.open);
  await order(network, 20);
  expect(await dialed).toMatchObject({ kind: "refused", refusal: { code: "DRAINING" } });
  expect(u32At((await raw.next(FrameType.reset)).payload, 0)).toBe(WireCode.cancelled);
});

test("drainGraceMs: a stop is a drain by the router itself, and does not wait longer than one that was ordered before", async () => {
  const network = await RouterNetwork.start({ limits: { drainGraceMs: 50 } });
  await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  await order(network, 60_000);
  const stopped = network.router[Symbol.asyncDispose]();
  expect(await errorOf(stream)).toMatchObject({ wireCode: WireCode.drained });
  await stopped;
  expect(network.recorded("router.draining").map(({ actorId }) => actorId)).toEqual([
    "spiffe://sallyport.local/admin/local",
    "spiffe://sallyport.local/router/1",
  ]);
});

test("a deadline or a reason beyond its bound is refused, and nothing drains", async () => {
  await using network = await RouterNetwork.start();
  await expect(order(network, 3_600_001)).rejects.toMatchObject({ code: "DEADLINE_INVALID", field: "deadline_ms" });
  await expect(order(network, 1_000, "x".repeat(257))).rejects.toMatchObject({ code: "REASON_TOO_LONG" });
  expect(network.router.drain.phase.kind).toBe("serving");
});
