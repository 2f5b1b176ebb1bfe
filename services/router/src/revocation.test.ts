import { once } from "node:events";
import { Service } from "@sallyport/proto/policy";
import { HostAnnounce } from "@sallyport/proto/tunnel";
import { FrameType, WireCode } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { RawTunnel } from "./testing/raw-tunnel.ts";
import { RouterNetwork, reachPolicy } from "./testing/router-network.ts";

const withoutDial = {
  ...reachPolicy,
  cedarFiles: { "main.cedar": (reachPolicy.cedarFiles["main.cedar"] ?? "").replace(/@id\("agent-dials"\).*\n/, "") },
};

/** Writes as fast as the stream takes it, until it ends. */
function pourInto(stream: TunnelStream): void {
  const block = Buffer.alloc(65_536);
  const pour = (): void => {
    while (!stream.destroyed && stream.write(block));
  };
  stream.on("drain", pour);
  pour();
}

async function failure(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) {
    const { promise, resolve } = Promise.withResolvers<void>();
    stream.once("close", resolve);
    await promise;
  }
  return stream.errored;
}

async function received(stream: TunnelStream, atLeast: number): Promise<void> {
  let bytes = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes >= atLeast) return;
  }
}

test("a revoked dialer's stream is cut while data flows, both ways, and its tunnel with it", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  pourInto(stream);
  pourInto(hosted);
  stream.resume();
  await received(hosted, 3_000_000);
  hosted.resume();
  const revokedAt = performance.now();
  network.apply(network.author.deny({ $case: "name", value: "agent" }, "stolen laptop"));
  expect(await failure(hosted)).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.revoked });
  expect(performance.now() - revokedAt).toBeLessThan(1_000);
  expect(await dialer.tunnel.closed).toMatchObject({ kind: "goaway", code: WireCode.revoked });
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "revoked", errorCode: "IDENTITY_DENIED" }]);
  expect(network.recorded("tunnel.closed")).toMatchObject([{ actorName: "agent", outcome: "revoked" }]);
  await network.host("shelf", ["files"]);
});

test("what was queued for a host that reads slowly is dropped by the cut: RESET is the next that it hears", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialer = await network.connect("agent");
  const streams = [];
  // The sum of these windows is more than the loopback's socket buffers hold.
  for (let i = 0; i < 64; i += 1) {
    const dialed = network.circuit(dialer, "files");
    const { streamId } = await raw.next(FrameType.open);
    raw.accept(streamId);
    streams.push(await dialed);
  }
  raw.socket.pause();
  for (const stream of streams) pourInto(stream);
  const circuits = [...network.router.switchboard.circuits.values()];
  await forwarded(() => circuits.every(({ dialerLeg }) => dialerLeg.credit.availableBytes === 0));
  const forwardedBytes = circuits.reduce((sum, { dialerLeg }) => sum + dialerLeg.bytes, 0);
  network.apply(network.author.deny({ $case: "name", value: "agent" }));
  raw.socket.resume();
  let bytes = 0;
  for (let resets = 0; resets < 64; resets += 1) await raw.next(FrameType.reset);
  for (const frame of raw.received()) if (frame.type === FrameType.data) bytes += frame.payload.length;
  expect(forwardedBytes).toBeGreaterThan(16_000_000);
  expect(bytes).toBeLessThan(forwardedBytes / 2);
});

test("a policy that no longer allows the dial cuts its circuits and leaves the tunnels", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  pourInto(stream);
  network.apply(network.author.publish(withoutDial));
  expect(await failure(stream)).toMatchObject({ wireCode: WireCode.revoked });
  expect(await failure(hosted)).toMatchObject({ wireCode: WireCode.revoked });
  expect(network.recorded("circuit.closed")).toMatchObject([
    { outcome: "revoked", decision: "deny", errorCode: "POLICY_DENIED" },
  ]);
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "POLICY_DENIED" } });
});

test("a change of policy that does not matter for a circuit leaves it alone", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  const hosted = await host.next();
  network.apply(
    network.author.publish({
      ...reachPolicy,
      services: [...reachPolicy.services, Service.create({ name: "new", protocol: "tcp" })],
    }),
  );
  network.apply(network.author.deny({ $case: "name", value: "other" }));
  stream.write("still here");
  const [chunk]: Buffer[] = await once(hosted, "data", { signal: AbortSignal.timeout(5_000) });
  expect(chunk?.toString()).toBe("still here");
});

test("a host that policy no longer allows is told, is dialed no more, and loses its circuits; it is told again when it is allowed again", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const withoutHost = {
    ...reachPolicy,
    cedarFiles: { "main.cedar": (reachPolicy.cedarFiles["main.cedar"] ?? "").replace(/@id\("shelf-hosts"\).*\n/, "") },
  };
  network.apply(network.author.publish(withoutHost));
  expect(await host.untilResult(2)).toMatchObject({ accepted: false, refusal: { code: "POLICY_DENIED" } });
  expect(await failure(stream)).toMatchObject({ wireCode: WireCode.revoked });
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  network.apply(network.author.publish(reachPolicy));
  expect(await host.untilResult(3)).toMatchObject({ accepted: true });
  await network.circuit(dialer, "files");
});

test("a dial that waits for its host when policy changes is refused, and the host's late accept opens nothing", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialed = network.dial(await network.connect("agent"), "files");
  const { streamId } = await raw.next(FrameType.open);
  network.apply(network.author.publish(withoutDial));
  expect(await dialed).toMatchObject({ kind: "refused", refusal: { code: "POLICY_DENIED" } });
  raw.accept(streamId);
  await raw.next(FrameType.reset);
  expect(network.router.switchboard.circuits.size).toBe(0);
});

test("a head that is too old refuses new dials and new tunnels with that reason, and keeps what runs", async () => {
  let now = Date.now();
  await using network = await RouterNetwork.start({ now: () => now });
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  now += 16 * 60_000;
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "HEAD_STALE" } });
  await expect(network.connect("other")).rejects.toThrow("tunnel");
  expect(network.router.notAdmittingBecause).toContain("old");
  stream.write("still flows");
  const [chunk]: Buffer[] = await once(hosted, "data", { signal: AbortSignal.timeout(5_000) });
  expect(chunk?.toString()).toBe("still flows");
  network.apply([network.author.head({ timeUnixMs: now })]);
  await network.circuit(dialer, "files");
});

test("an announcement under a stale head is accepted once a fresh head comes", async () => {
  let now = Date.now();
  await using network = await RouterNetwork.start({ now: () => now });
  const host = await network.host("shelf", []);
  now += 16 * 60_000;
  host.tunnel.sendControl({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service: "files" }) } });
  expect(await host.untilResult(1)).toMatchObject({ accepted: false, refusal: { code: "HEAD_STALE" } });
  network.apply([network.author.head({ timeUnixMs: now })]);
  expect(await host.untilResult(2)).toMatchObject({ accepted: true });
});

test("a head whose slice has not arrived yet refuses dials, and cuts nothing", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  const again = {
    ...reachPolicy,
    services: reachPolicy.services.map((service) => ({ ...service, description: "", protocol: "mcp" })),
  };
  const envelopes = network.author.publish(again);
  network.apply(envelopes.slice(-2));
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "HEAD_STALE" } });
  stream.write("still flows");
  const [chunk]: Buffer[] = await once(hosted, "data", { signal: AbortSignal.timeout(5_000) });
  expect(chunk?.toString()).toBe("still flows");
  network.apply(envelopes.slice(0, -2));
  await network.circuit(dialer, "files");
});

test("a router that started knows no service as unknown before the last slice of the head is here", async () => {
  await using network = await RouterNetwork.start({ policy: null });
  const envelopes = network.author.publish(reachPolicy);
  const [last, ...others] = envelopes;
  network.apply(others);
  const dialer = await network.connect("agent");
  for (const service of ["files", "nothing"])
    expect(await network.dial(dialer, service)).toMatchObject({ refusal: { code: "HEAD_STALE" } });
  if (last !== undefined) network.apply([last]);
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  expect(await network.dial(dialer, "nothing")).toMatchObject({ refusal: { code: "POLICY_DENIED" } });
});

test("a service that policy no longer has is withdrawn and its circuits are cut by the head alone", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  await host.next();
  const { services } = reachPolicy;
  network.apply(network.author.publish({ ...reachPolicy, services: services.filter(({ name }) => name !== "files") }));
  expect(await failure(stream)).toMatchObject({ wireCode: WireCode.revoked });
  expect(await host.untilResult(2)).toMatchObject({ accepted: false });
  expect(network.recorded("circuit.closed")).toMatchObject([{ outcome: "revoked", errorCode: "SERVICE_UNKNOWN" }]);
});

test("the deny-list cuts from the moment it arrives, before the head that names it", async () => {
  await using network = await RouterNetwork.start();
  const dialer = await network.connect("agent");
  const [denyList] = network.author.deny({ $case: "instance", value: dialer.id.uri });
  if (denyList !== undefined) network.mirror.apply(denyList);
  expect(await dialer.tunnel.closed).toMatchObject({ kind: "goaway", code: WireCode.revoked });
});

async function forwarded(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error("not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
