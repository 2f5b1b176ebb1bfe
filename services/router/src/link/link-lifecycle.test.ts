import { createServer } from "node:net";
import { FrameType, WireCode } from "@sallyport/frame";
import { routerId } from "@sallyport/identity";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { announceShelf, acceptNext, withOtherRouter } from "../testing/other-router.ts";
import { RouterMesh, hostsKnown, linked, presenceOf } from "../testing/router-mesh.ts";
import type { RouterNetwork, TestWorkload } from "../testing/router-network.ts";
import { isLocal } from "../domain/host-entry.ts";
import type { LinkTunnel } from "./link-tunnel.ts";
import type { LinkState } from "./peer-router.ts";

async function failureOf(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", resolve).resume());
  return stream.errored;
}

function stateAt(network: RouterNetwork): LinkState | undefined {
  return network.router.links.routers[0]?.state;
}

function linkAt(network: RouterNetwork): LinkTunnel {
  const state = stateAt(network);
  if (state === undefined || state.kind === "connecting") throw new Error("no link");
  return state.link;
}

async function works(from: RouterNetwork, dialer: TestWorkload): Promise<void> {
  (await from.circuit(dialer, "files")).destroy();
}

test("every router has one link to every other", async () => {
  await using mesh = await RouterMesh.open();
  const networks = [];
  for (const name of ["1", "2", "3", "4"]) networks.push(await mesh.add({ name }));
  await mesh.meet();
  for (const { router } of networks) {
    expect(router.links.tunnels.size).toBe(3);
    expect(new Set([...router.links.tunnels].map((link) => link.routerId)).size).toBe(3);
  }
});

test("a lost link comes again by itself, with all hosts", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const before = linkAt(one).linkId;
  linkAt(two).outlet.abort(WireCode.internal);
  await expect.poll(() => one.recorded("link.closed")).toMatchObject([{ outcome: "disconnected" }]);
  await linked(one, 1);
  expect(linkAt(one).linkId).not.toBe(before);
  await hostsKnown(one, "files", 1);
  await works(one, await one.connect("agent"));
});

test("a link that its router ends again and again is not dialed in a tight loop", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  two.router.links.onChange(() => {
    for (const link of two.router.links.tunnels) link.outlet.abort(WireCode.internal);
  });
  const opened = (): number => one.recorded("link.opened").length;
  const begunAt = performance.now();
  linkAt(two).outlet.abort(WireCode.internal);
  await expect.poll(opened, { timeout: 15_000 }).toBeGreaterThanOrEqual(5);
  // After the first attempt pauses of 100, 200 and 400 ms, each drawn between half of it and the whole.
  expect(performance.now() - begunAt).toBeGreaterThan(350);
});

test("a router that is not there is tried until it is, and at once where word of it comes", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1" });
  const id = routerId(mesh.authority.trustDomain, "2").uri;
  one.router.links.learn({ routerId: id, epoch: 1, linkAddress: "127.0.0.1:1" });
  await expect.poll(() => stateAt(one)).toMatchObject({ kind: "connecting", lastFailure: expect.stringMatching(/./) });
  const two = await mesh.add({ name: "2" });
  one.router.links.learn(presenceOf(two));
  await linked(one, 1);
});

test("at an address where another router answers there is no link", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1" });
  const three = await mesh.add({ name: "3" });
  one.router.links.learn({ ...presenceOf(three), routerId: routerId(mesh.authority.trustDomain, "2").uri });
  await expect.poll(() => stateAt(one)).toMatchObject({ lastFailure: expect.stringContaining("not whom") });
  expect(one.router.links.tunnels.size).toBe(0);
});

test("a router that began anew supersedes the link of its former life: what ran over that is gone", async () => {
  await using mesh = await RouterMesh.open();
  const two = await mesh.add({ name: "2" });
  const dying = await mesh.add({ name: "1" });
  dying.router.links.learn(presenceOf(two));
  await linked(two, 1);
  const before = linkAt(two);
  await two.host("shelf", ["files"]);
  await hostsKnown(dying, "files", 1);
  const stream = await dying.circuit(await dying.connect("agent"), "files");
  const reborn = await mesh.add({ name: "1" });
  reborn.router.links.learn(presenceOf(two));
  await linked(reborn, 1);
  await expect.poll(() => linkAt(two)).not.toBe(before);
  expect(linkAt(two).routerEpoch).toBe(reborn.router.epoch);
  expect(two.recorded("link.closed")).toMatchObject([{ reason: expect.stringContaining("began anew") }]);
  expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.gone });
});

test("word of a router that began anew brings a link to its new life, though the old link has not noticed yet", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  expect(linkAt(one).routerEpoch).toBe(two.router.epoch);
  const reborn = await mesh.add({ name: "2" });
  one.router.links.learn(presenceOf(reborn));
  await expect.poll(() => linkAt(one).routerEpoch).toBe(reborn.router.epoch);
});

test("a new link is there before the certificates of the old one end: what began on the old one goes on, new dials take the new one", async () => {
  await using mesh = await RouterMesh.open();
  const source = await mesh.authority.source(routerId(mesh.authority.trustDomain, "1"), { ttlSeconds: 6 });
  const one = await mesh.add({ name: "1", identity: source });
  const two = await mesh.add({ name: "2" });
  await mesh.meet();
  const host = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const before = linkAt(one);
  const stream = await one.circuit(dialer, "files");
  const hosted = await host.next();
  source.rotate(await mesh.authority.issue(source.current().identity.id), mesh.authority.bundle);
  await expect.poll(() => linkAt(one).linkId, { timeout: 10_000 }).not.toBe(before.linkId);
  await expect.poll(() => linkAt(two).linkId).not.toBe(before.linkId);
  stream.write("still");
  const [chunk] = await new Promise<Buffer[]>((resolve) => hosted.once("data", (data: Buffer) => resolve([data])));
  expect(chunk?.toString()).toBe("still");
  expect(before.streams).toBe(1);
  await hostsKnown(one, "files", 1);
  const next = await one.circuit(dialer, "files");
  expect(before.streams).toBe(1);
  expect(linkAt(one).streams).toBe(1);
  stream.destroy();
  await expect.poll(() => one.router.links.tunnels.size).toBe(1);
  expect(next.destroyed).toBe(false);
  next.destroy();
});

test("a link ends with the certificate that made it, when no new one comes", async () => {
  await using mesh = await RouterMesh.open();
  const source = await mesh.authority.source(routerId(mesh.authority.trustDomain, "1"), { ttlSeconds: 5 });
  const one = await mesh.add({ name: "1", identity: source });
  const two = await mesh.add({ name: "2" });
  one.router.links.learn(presenceOf(two));
  await linked(two, 1);
  await expect
    .poll(() => two.recorded("link.closed").at(-1), { timeout: 10_000 })
    .toMatchObject({ errorCode: "EXPIRED" });
  await linked(two, 0);
});

test("a router that is silent for 5 s is given up: its circuits end as gone", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const hostId = await announceShelf(network, raw);
  const dialed = network.circuit(await network.connect("agent"), "files");
  await acceptNext(raw, hostId);
  const stream = await dialed;
  const silentSince = performance.now();
  expect(await failureOf(stream)).toMatchObject({ wireCode: WireCode.gone });
  expect(performance.now() - silentSince).toBeLessThan(8_000);
  expect(network.recorded("link.closed")).toMatchObject([{ reason: expect.stringContaining("silent") }]);
});

test("a router that drains gets no new dials, what runs goes on, and its peers say that it drains", async () => {
  const { mesh, one, two } = await RouterMesh.pair({ limits: { drainGraceMs: 10_000 } });
  await using _ = mesh;
  const far = await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const dialer = await one.connect("agent");
  const stream = await one.circuit(dialer, "files");
  const hosted = await far.next();
  const askedBy = await mesh.authority.issue(routerId(mesh.authority.trustDomain, "2"));
  two.router.drain.order({ deadlineMs: 10_000, askedBy, reason: "upgrade" });
  await expect.poll(() => stateAt(one)?.kind).toBe("draining");
  expect(await one.dial(dialer, "files")).toMatchObject({ refusal: { code: "NO_HOST" } });
  const near = await one.host("shelf", ["files"], { instance: "2" });
  await works(one, dialer);
  expect(near.opens).toHaveLength(1);
  stream.end("last words");
  hosted.end();
  stream.resume();
  const chunks: Buffer[] = [];
  for await (const chunk of hosted) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("last words");
  await two.router.drain.over;
  await linked(one, 0);
});

test("several routers share one public port of one machine, and a dial between two of them passes their link", async () => {
  const own = { host: "127.0.0.1", port: 0 };
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1", reusePort: true, linkListen: own });
  const two = await mesh.add({ name: "2", reusePort: true, linkListen: own, listen: one.router.address });
  expect(two.router.address).toEqual(one.router.address);
  await mesh.meet();
  const tunnels = ({ router }: RouterNetwork): number => router.switchboard.tunnels.size;
  const hosts = [];
  while (tunnels(one) === 0 || tunnels(two) === 0)
    hosts.push(await one.host("shelf", ["files"], { instance: String(hosts.length + 1) }));
  await hostsKnown(one, "files", hosts.length);
  await hostsKnown(two, "files", hosts.length);
  const dialer = await one.connect("agent");
  const isOn = ({ router }: RouterNetwork): boolean =>
    router.switchboard.tunnels.countOf({ kind: "name", value: "agent" }) > 0;
  const near = isOn(one) ? one : two;
  for (const entry of near.router.switchboard.hosts.of("files").filter(isLocal))
    near.router.switchboard.hosts.setPreference(entry, { cost: 60_000, precedence: entry.precedence });
  const dialed = await one.dial(dialer, "files");
  if (dialed.kind === "refused") throw new Error(dialed.refusal.message);
  const { stream, accept } = dialed;
  const far = hosts.find(({ id }) => id.uri === accept.hostId);
  stream.end("through two routers on one port");
  const hosted = await far?.next();
  const chunks: Buffer[] = [];
  for await (const chunk of hosted ?? []) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("through two routers on one port");
  expect(near.recorded("circuit.opened")).toMatchObject([{ attributes: { host_router: expect.any(String) } }]);
});

test("a public port that is not shared cannot be had twice", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1" });
  await expect(mesh.add({ name: "2", listen: one.router.address })).rejects.toThrow("cannot listen");
});

test("a port that takes connections and says nothing does not hold up the next attempt", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1", limits: { handshakeMs: 200 } });
  const two = await mesh.add({ name: "2" });
  const hole = createServer(() => undefined).listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => hole.once("listening", () => resolve()));
  const address = hole.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  one.router.links.learn({ ...presenceOf(two), linkAddress: `127.0.0.1:${port}` });
  await expect.poll(() => stateAt(one)).toMatchObject({ lastFailure: expect.stringContaining("longer than 200 ms") });
  one.router.links.learn(presenceOf(two));
  await linked(one, 1);
  hole.close();
});

test("GOAWAY with a code ends a link like any other end", async () => {
  const { network, raw } = await withOtherRouter();
  await using _ = network;
  const code = Buffer.alloc(4);
  code.writeUInt32BE(WireCode.internal);
  raw.frame(FrameType.goaway, 0, code);
  await linked(network, 0);
  expect(network.recorded("link.closed")).toMatchObject([{ reason: expect.stringContaining("internal") }]);
});
