import { WireCode } from "@sallyport/frame";
import { Service, Stickiness } from "@sallyport/proto/policy";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { RouterMesh, hostsKnown, linked } from "../testing/router-mesh.ts";
import { openOf, reachPolicy, type TestHost } from "../testing/router-network.ts";

/** Everything until the other end's FIN. */
async function bytesOf(stream: TunnelStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function failureOf(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) {
    const { promise, resolve } = Promise.withResolvers<void>();
    stream.once("close", resolve);
    stream.resume();
    await promise;
  }
  return stream.errored;
}

const withoutDial = {
  ...reachPolicy,
  cedarFiles: { "main.cedar": (reachPolicy.cedarFiles["main.cedar"] ?? "").replace(/@id\("agent-dials"\).*\n/, "") },
};

test("a workload dials a host that is on another router: bytes go both ways, and both routers record who and by which link", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const result = await one.dial(dialer, "files");
  if (result.kind === "refused") throw new Error(result.refusal.message);
  expect(result.accept).toMatchObject({ hostId: host.id.uri, sliceVersion: 1 });
  const hosted = await host.next();
  expect(host.opens[0]?.open).toMatchObject({
    dialerId: dialer.id.uri,
    circuitId: result.accept.circuitId,
    decisionId: result.accept.decisionId,
    sliceVersion: 1,
    dialerSerial: "",
    hostId: "",
  });
  result.stream.end(Buffer.alloc(1_000_000, 7));
  expect(await bytesOf(hosted)).toEqual(Buffer.alloc(1_000_000, 7));
  hosted.end("so much");
  expect((await bytesOf(result.stream)).toString()).toBe("so much");
  const { circuitId } = result.accept;
  await expect.poll(() => two.recorded("circuit.closed")).toHaveLength(1);
  expect(one.recorded("circuit.opened")).toMatchObject([
    {
      circuitId,
      actorId: dialer.id.uri,
      hostId: host.id.uri,
      attributes: {
        dialer_tunnel: expect.any(String),
        host_router: two.router.routerId,
        host_link: expect.any(String),
      },
    },
  ]);
  expect(two.recorded("circuit.opened")).toMatchObject([
    {
      circuitId,
      actorId: dialer.id.uri,
      hostId: host.id.uri,
      attributes: {
        host_tunnel: expect.any(String),
        dialer_router: one.router.routerId,
        dialer_link: expect.any(String),
      },
    },
  ]);
  for (const network of [one, two])
    expect(network.recorded("circuit.closed")).toMatchObject([
      { outcome: "ok", bytesSent: 1_000_000, bytesReceived: 7 },
    ]);
});

test("it makes no difference which of the two routers dialed the link", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await one.host("shelf", ["files"]);
  await hostsKnown(two, "files", 1);
  const stream = await two.circuit(await two.connect("agent"), "files");
  const hosted = await host.next();
  stream.end("across");
  expect((await bytesOf(hosted)).toString()).toBe("across");
});

test("a dial that policy denies is refused on its own router, and no other router hears of it", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  expect(await one.dial(await one.connect("other"), "files")).toMatchObject({ refusal: { code: "POLICY_DENIED" } });
  expect(two.recorded("circuit.refused")).toEqual([]);
});

test("the far router decides by its own policy: what it denies is refused, whatever the near one thinks, and is on its record", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  // One router has not heard of the newest policy.
  two.apply(mesh.author.publish(withoutDial));
  const dialer = await one.connect("agent");
  expect(await one.dial(dialer, "files")).toMatchObject({ kind: "refused", refusal: { code: "POLICY_DENIED" } });
  expect(host.opens).toHaveLength(0);
  expect(two.recorded("circuit.refused")).toMatchObject([
    { actorId: dialer.id.uri, decision: "deny", attributes: { dialer_router: one.router.routerId } },
  ]);
  two.apply(mesh.author.deny({ $case: "name", value: "agent" }));
  expect(await one.dial(dialer, "files")).toMatchObject({ refusal: { code: "IDENTITY_DENIED" } });
});

test("a revocation cuts a circuit over a link at both routers, also where only the far one has heard of it", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const stream = await one.circuit(dialer, "files");
  const hosted = await host.next();
  stream.write("running");
  two.apply(mesh.author.deny({ $case: "name", value: "agent" }, "stolen"));
  expect(await failureOf(hosted)).toMatchObject({ wireCode: WireCode.revoked });
  expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.revoked });
  expect(two.recorded("circuit.closed")).toMatchObject([{ outcome: "revoked", errorCode: "IDENTITY_DENIED" }]);
});

test.each(["the near router", "the far router"])(
  "a change of policy that only %s has heard of cuts the circuit at both ends",
  async (who) => {
    const { mesh, one, two } = await RouterMesh.pair();
    await using _ = mesh;
    const host = await two.host("shelf", ["files"]);
    await hostsKnown(one, "files", 1);
    const stream = await one.circuit(await one.connect("agent"), "files");
    const hosted = await host.next();
    (who === "the near router" ? one : two).apply(mesh.author.publish(withoutDial));
    expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.revoked });
    expect(await failureOf(hosted)).toMatchObject({ wireCode: WireCode.revoked });
  },
);

test("a host that may host no longer is cut at the dialer's router too", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const stream = await one.circuit(await one.connect("agent"), "files");
  one.apply(mesh.author.deny({ $case: "name", value: "shelf" }));
  expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.revoked });
  expect(one.router.switchboard.hosts.of("files")).toEqual([]);
  expect(one.recorded("circuit.closed")).toMatchObject([{ outcome: "revoked", errorCode: "IDENTITY_DENIED" }]);
});

test("one hop only: a host behind two links is not to be had", async () => {
  await using mesh = await RouterMesh.open();
  const [one, two, three] = [
    await mesh.add({ name: "1" }),
    await mesh.add({ name: "2" }),
    await mesh.add({ name: "3" }),
  ];
  const addressOf = ({ router }: typeof one): string => `${router.linkAddress.host}:${router.linkAddress.port}`;
  const introduce = (near: typeof one, far: typeof one): void =>
    near.router.links.learn({ routerId: far.router.routerId, epoch: far.router.epoch, linkAddress: addressOf(far) });
  introduce(one, two);
  introduce(two, three);
  await linked(two, 2);
  await three.host("shelf", ["files"]);
  await hostsKnown(two, "files", 1);
  const near = await two.host("agent", ["vault"]);
  await hostsKnown(one, "vault", 1);
  expect(near.results).toMatchObject([{ accepted: true }]);
  expect(one.router.switchboard.hosts.of("files")).toEqual([]);
  expect(await one.dial(await one.connect("agent"), "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
});

test("when the link is lost its circuits end as gone at both ends, and the next dial goes to another host at once", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const far = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const stream = await one.circuit(dialer, "files");
  const hosted = await far.next();
  const near = await one.host("shelf", ["files"]);
  for (const link of one.router.links.tunnels) link.outlet.abort(WireCode.internal);
  expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.gone });
  const next = await one.circuit(dialer, "files");
  expect((await near.next()).destroyed).toBe(false);
  expect(await failureOf(hosted)).toMatchObject({ wireCode: WireCode.gone });
  next.destroy();
  expect(one.recorded("circuit.closed")[0]).toMatchObject({
    outcome: "disconnected",
    reason: expect.stringContaining("link"),
  });
});

test("a slow reader behind a link stalls its own stream, and no other", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const slow = await one.circuit(dialer, "files");
  await host.next();
  slow.write(Buffer.alloc(4_000_000));
  const quick = await one.circuit(dialer, "files");
  const read = await host.next();
  quick.end(Buffer.alloc(4_000_000));
  expect(await bytesOf(read)).toHaveLength(4_000_000);
  const [stalled] = [...two.router.switchboard.circuits.values()];
  expect(stalled?.dialerLeg.credit.availableBytes).toBe(0);
});

test("a dial over a link is given up when its dialer gives it up", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const withdrawn = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  await two.host("shelf", ["files"], {
    onOpen: ({ signal }) => {
      asked.resolve();
      signal.addEventListener("abort", () => withdrawn.resolve());
    },
  });
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const giveUp = new AbortController();
  const dialed = dialer.tunnel.openStream(openOf("files"), { signal: giveUp.signal });
  await asked.promise;
  giveUp.abort(new Error("no longer"));
  await expect(dialed).rejects.toThrow("no longer");
  await withdrawn.promise;
  await expect.poll(() => two.recorded("circuit.refused")).toMatchObject([{ outcome: "cancelled" }]);
});

test("a host on the own router is chosen before one behind a link", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const far = await two.host("shelf", ["files"], { instance: "2" });
  const near = await one.host("shelf", ["files"]);
  await hostsKnown(one, "files", 2);
  await one.circuit(await one.connect("agent"), "files");
  expect([near.opens.length, far.opens.length]).toEqual([1, 0]);
});

test("where policy makes a service sticky, a dialer gets the same host from every router, and another when that one goes", async () => {
  const services = [Service.create({ name: "files", protocol: "tcp", stickiness: Stickiness.STICKINESS_DIALER })];
  await using mesh = await RouterMesh.open({ ...reachPolicy, services });
  const [one, two] = [await mesh.add({ name: "1" }), await mesh.add({ name: "2" })];
  await mesh.meet();
  const hosts = new Map<string, TestHost>();
  for (let instance = 1; instance <= 6; instance += 1) {
    const host = await (instance % 2 === 0 ? one : two).host("shelf", ["files"], { instance: String(instance) });
    hosts.set(host.id.uri, host);
  }
  for (const network of [one, two]) await hostsKnown(network, "files", 6);
  const dialer = { one: await one.connect("agent"), two: await two.connect("agent") };
  const chosen = async (): Promise<readonly string[]> => {
    const results = [];
    for (let dials = 0; dials < 3; dials += 1)
      results.push(await one.dial(dialer.one, "files"), await two.dial(dialer.two, "files"));
    return results.map((result) => (result.kind === "accepted" ? result.accept.hostId : result.refusal.code));
  };
  const [first = "", ...others] = await chosen();
  expect(new Set(others)).toEqual(new Set([first]));
  hosts.get(first)?.tunnel.abort(WireCode.internal);
  for (const network of [one, two]) await hostsKnown(network, "files", 5);
  const [next = "", ...more] = await chosen();
  expect(next).not.toBe(first);
  expect(hosts.has(next)).toBe(true);
  expect(new Set(more)).toEqual(new Set([next]));
});
