import { FrameType, WireCode } from "@sallyport/frame";
import { RotatingSvid, createSvid, routerId, serviceId, workloadId } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { createTestAuthority } from "@sallyport/testing";
import { expect, test } from "vitest";
import { RawTunnel } from "../testing/raw-tunnel.ts";
import { RouterMesh, linked, presenceOf } from "../testing/router-mesh.ts";
import { RouterNetwork } from "../testing/router-network.ts";

const alpn = "sallyport-link/1";

async function goawayOf(raw: RawTunnel): Promise<number> {
  return (await raw.next(FrameType.goaway)).payload.readUInt32BE();
}

test.each([
  ["workload", (domain: string) => workloadId(domain, "agent", "1")],
  ["service", (domain: string) => serviceId(domain, "audit", "1")],
])("a %s of the own trust domain cannot make a link", async (kind, idOf) => {
  await using network = await RouterNetwork.start();
  const identity = await network.authority.source(idOf(network.authority.trustDomain));
  const raw = await RawTunnel.over({ carrier: network.router.linkAddress, identity, alpn }, network);
  expect(await goawayOf(raw)).toBe(WireCode.revoked);
  expect(network.recorded("link.refused")).toMatchObject([
    { errorCode: "IDENTITY_DENIED", reason: `A ${kind} has no links.` },
  ]);
  expect(network.router.links.tunnels.size).toBe(0);
});

test("a router has no tunnel: its certificate is for links", async () => {
  await using network = await RouterNetwork.start();
  const identity = await network.authority.source(routerId(network.authority.trustDomain, "0"));
  const raw = await RawTunnel.over({ carrier: network.router.address, identity, alpn: "sallyport/1" }, network);
  expect(await goawayOf(raw)).toBe(WireCode.revoked);
  expect(network.router.switchboard.tunnels.size).toBe(0);
});

test.each(["a rogue root of the same name", "a foreign trust domain"])(
  "a router's certificate of %s cannot make a link",
  async (which) => {
    await using network = await RouterNetwork.start();
    const domain = which === "a foreign trust domain" ? "elsewhere.example" : network.authority.trustDomain;
    const rogue = await createTestAuthority(domain);
    const svid = await rogue.issue(routerId(domain, "0"));
    const { socket } = await connectMtls({
      carrier: network.router.linkAddress,
      identity: new RotatingSvid(svid, rogue.bundle),
      trust: network.authority.bundle,
      alpn,
      expect: () => true,
    });
    socket.on("error", () => undefined).resume();
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await expect
      .poll(() => network.recorded("link.refused"))
      .toMatchObject([{ errorCode: "UNTRUSTED", outcome: "denied" }]);
    expect(network.router.links.tunnels.size).toBe(0);
  },
);

test("a foreign chain behind a leaf of the own trust domain does not make a link", async () => {
  await using network = await RouterNetwork.start();
  const rogue = await createTestAuthority();
  const own = await network.authority.issue(routerId(network.authority.trustDomain, "0"));
  const [leaf] = own.certificateChain;
  const mixed = createSvid([leaf ?? Buffer.alloc(0), rogue.intermediate.certificate], own.privateKey);
  const attempt = connectMtls({
    carrier: network.router.linkAddress,
    identity: new RotatingSvid(mixed, rogue.bundle),
    trust: network.authority.bundle,
    alpn,
    expect: () => true,
  });
  const socket = await attempt.then(({ socket: opened }) => opened.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await expect.poll(() => network.recorded("link.refused")).toHaveLength(1);
});

test("a router on the deny-list gets no link, and one that has a link loses it at both ends", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  mesh.apply(mesh.author.deny({ $case: "instance", value: two.router.routerId }, "stolen"));
  await linked(one, 0);
  await linked(two, 0);
  expect(one.recorded("link.closed")).toMatchObject([
    {
      outcome: "revoked",
      errorCode: "IDENTITY_DENIED",
      actorId: two.router.routerId,
      reason: "On the deny-list: stolen",
    },
  ]);
  await expect.poll(() => one.recorded("link.refused"), { timeout: 5_000 }).not.toEqual([]);
  expect(one.router.links.tunnels.size).toBe(0);
});

test("while it is not known whom the deny-list names, nobody gets a link; then it comes by itself", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1" });
  const two = await mesh.add({ name: "2", withoutPolicy: true });
  one.router.links.learn(presenceOf(two));
  await expect.poll(() => two.recorded("link.refused")).toMatchObject([{ errorCode: "HEAD_STALE" }]);
  mesh.catchUp(two);
  await linked(one, 1);
});

test("of two routers the one with the smaller name dials: who should have waited is turned away", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.link(network, "2");
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
  expect(network.recorded("link.refused")).toMatchObject([{ errorCode: "PROTOCOL" }]);
});

test("another process with the own name is turned away", async () => {
  await using network = await RouterNetwork.start();
  expect(await goawayOf(await RawTunnel.link(network, "1"))).toBe(WireCode.protocol);
});

test("a hello that names another router than the handshake proved ends the link", async () => {
  await using network = await RouterNetwork.start();
  const raw = await RawTunnel.link(network, "0", { routerId: "spiffe://sallyport.local/router/3" });
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
  await expect
    .poll(() => network.recorded("link.closed"))
    .toMatchObject([
      { outcome: "disconnected", reason: expect.stringContaining("not the one that the handshake proved") },
    ]);
});

test("with a port of its own for links, the public port makes none", async () => {
  const own = { host: "127.0.0.1", port: 0 };
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1", linkListen: own });
  const two = await mesh.add({ name: "2", linkListen: own });
  expect(one.router.linkAddress.port).not.toBe(one.router.address.port);
  await mesh.meet();
  const identity = await mesh.authority.source(routerId(mesh.authority.trustDomain, "0"));
  for (const [carrier, protocol] of [
    [two.router.address, alpn],
    [two.router.linkAddress, "sallyport/1"],
  ] as const)
    await expect(RawTunnel.over({ carrier, identity, alpn: protocol }, two)).rejects.toThrow();
});

test("no more than `maxLinkedRouters` others get a link, and no more than `maxLinksPerRouter` connections of one", async () => {
  await using network = await RouterNetwork.start({ limits: { maxLinkedRouters: 1, maxLinksPerRouter: 2 }, name: "5" });
  const first = await RawTunnel.link(network, "1");
  await linked(network, 1);
  expect(await goawayOf(await RawTunnel.link(network, "2"))).toBe(WireCode.limit);
  const greeting = async (): Promise<RawTunnel> => {
    const { authority, router } = network;
    const identity = await authority.source(routerId(authority.trustDomain, "1"));
    return await RawTunnel.over({ carrier: router.linkAddress, identity, alpn }, network);
  };
  await greeting();
  await expect.poll(() => network.router.links.tunnels.size).toBe(2);
  expect(await goawayOf(await greeting())).toBe(WireCode.limit);
  expect(network.recorded("link.refused").map(({ errorCode }) => errorCode)).toEqual(["OVERLOADED", "OVERLOADED"]);
  first.socket.destroy();
});
