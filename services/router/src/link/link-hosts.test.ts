import { WireCode } from "@sallyport/frame";
import { Service } from "@sallyport/proto/policy";
import { HostAnnounce, Precedence, type LinkHost } from "@sallyport/proto/tunnel";
import { expect, test } from "vitest";
import { delta, goawayOf, linkFromOther, linkHost, otherEpoch, snapshot } from "../testing/other-router.ts";
import { RawTunnel } from "../testing/raw-tunnel.ts";
import { RouterMesh, hostsKnown, linked } from "../testing/router-mesh.ts";
import { RouterNetwork, reachPolicy } from "../testing/router-network.ts";

const allowAll = { "main.cedar": "permit (principal, action, resource);" };

function known(network: RouterNetwork): readonly string[] {
  return network.router.switchboard.hosts.of("files").map(({ party }) => party.identity.id.uri);
}

test("a host appears on the other routers when it announces, with what it says of itself, and disappears when it goes", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  const host = await two.host("shelf", []);
  const announce = HostAnnounce.create({ service: "files", cost: 7, precedence: Precedence.PRECEDENCE_FAILED });
  host.tunnel.sendControl({ message: { $case: "hostAnnounce", value: announce } });
  await hostsKnown(one, "files", 1);
  expect(one.router.switchboard.hosts.of("files")).toMatchObject([
    { cost: 7, precedence: Precedence.PRECEDENCE_FAILED, party: { routerId: two.router.routerId } },
  ]);
  host.tunnel.sendControl({ message: { $case: "hostWithdraw", value: { service: "files" } } });
  await hostsKnown(one, "files", 0);
  host.tunnel.sendControl({ message: { $case: "hostAnnounce", value: { ...announce, cost: 0 } } });
  await hostsKnown(one, "files", 1);
  host.tunnel.abort(WireCode.internal);
  await hostsKnown(one, "files", 0);
});

test("a router that comes later hears of all hosts that are there, in more messages than one", async () => {
  await using mesh = await RouterMesh.open();
  const one = await mesh.add({ name: "1" });
  const names = Array.from({ length: 40 }, (_, index) => `service-with-a-name-of-some-length-${index}`);
  mesh.apply(
    mesh.author.publish({ ...reachPolicy, services: names.map((name) => Service.create({ name, protocol: "tcp" })) }),
  );
  for (let at = 0; at < 5; at += 1) await one.host("shelf", names, { instance: String(at) });
  const two = await mesh.add({ name: "2" });
  await mesh.meet();
  await expect.poll(() => two.router.switchboard.hosts.list().length, { timeout: 10_000 }).toBe(200);
});

test("a host that goes down is passed over by other routers too, and a change of health is told", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const [entry] = two.router.switchboard.hosts.of("files");
  if (entry === undefined) throw new Error("no host");
  two.router.switchboard.hosts.setHealth(entry, { kind: "down", reason: "hangs", sinceUnixMs: Date.now() });
  const kindAtOne = (): string | undefined => one.router.switchboard.hosts.of("files")[0]?.health.kind;
  await expect.poll(kindAtOne).toBe("down");
  expect(await one.dial(await one.connect("agent"), "files")).toMatchObject({ refusal: { code: "HOST_DOWN" } });
  two.router.switchboard.hosts.setHealth(entry, { kind: "up" });
  await expect.poll(kindAtOne).toBe("up");
});

test("how much a host carries is told to other routers", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  await two.circuit(await two.connect("agent"), "files");
  const load = (): number | undefined => one.router.switchboard.hosts.of("files")[0]?.circuitsElsewhere;
  await expect.poll(load, { timeout: 5_000 }).toBe(1);
});

test("a host that own policy does not let host is not used, whatever its router says, and that is on record", async () => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "other"), linkHost(network, "shelf")]));
  await hostsKnown(network, "files", 1);
  expect(known(network)).toEqual([network.workloadId("shelf").uri]);
  expect(network.recorded("host.refused")).toMatchObject([
    { hostId: network.workloadId("other").uri, decision: "deny", actorId: expect.stringContaining("/router/0") },
  ]);
  network.apply(network.author.publish({ ...reachPolicy, cedarFiles: allowAll }));
  await hostsKnown(network, "files", 2);
  network.apply(network.author.publish({ ...reachPolicy, cedarFiles: { "main.cedar": "" } }));
  await hostsKnown(network, "files", 0);
});

test.each([
  ["serial", { $case: "serial", value: "0a" }],
  ["issuer", { $case: "issuer", value: "0b" }],
  ["name", { $case: "name", value: "shelf" }],
] as const)("a host behind a link is judged by the deny-list too: by %s", async (_kind, subject) => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "shelf")]));
  await hostsKnown(network, "files", 1);
  network.apply(network.author.deny(subject));
  expect(known(network)).toEqual([]);
});

test("a gap in the sequence ends the link, and so does a change before the snapshot", async () => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "shelf")]));
  raw.control(delta(3, { gone: [{ service: "files", spiffeId: network.workloadId("shelf").uri }] }));
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
  expect(known(network)).toEqual([]);
  await linked(network, 0);
  const again = await linkFromOther(network);
  again.control(delta(1, {}));
  expect(await goawayOf(again)).toBe(WireCode.protocol);
});

test("after a gap the next link begins anew, and is complete", async () => {
  const { mesh, one, two } = await RouterMesh.pair();
  await using _ = mesh;
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  const [link] = two.router.links.tunnels;
  link?.sendControl(delta(99, {}, two.router.epoch));
  await expect.poll(() => one.recorded("link.closed")).toHaveLength(1);
  await linked(one, 1);
  await hostsKnown(one, "files", 1);
});

test("what another boot of the router said is dropped", async () => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "shelf")], otherEpoch - 1));
  raw.control(snapshot(5, [linkHost(network, "shelf", { service: "vault" })]));
  raw.control(delta(6, { changed: [linkHost(network, "shelf", { service: "secret" })] }, otherEpoch + 1));
  raw.control(delta(6, {}));
  await hostsKnown(network, "vault", 1);
  expect(known(network)).toEqual([]);
  expect(network.router.switchboard.hosts.of("secret")).toEqual([]);
});

test("a further snapshot replaces what was known, and leaves what stayed", async () => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "shelf"), linkHost(network, "shelf", { service: "vault" })]));
  await hostsKnown(network, "files", 1);
  const [before] = network.router.switchboard.hosts.of("vault");
  raw.control(snapshot(2, [linkHost(network, "shelf", { service: "vault" })]));
  await hostsKnown(network, "files", 0);
  expect(network.router.switchboard.hosts.of("vault")).toEqual([before]);
});

test.each([
  ["a cost beyond its limit", { cost: 65_536 }],
  ["no workload", { spiffeId: "spiffe://sallyport.local/router/9" }],
  ["a workload of another trust domain", { spiffeId: "spiffe://elsewhere.example/workload/shelf/1" }],
  ["a serial that is none", { serial: "zz" }],
  ["more issuers than a chain has", { issuers: Array.from({ length: 9 }, () => "0b") }],
  ["a service's name that is too long", { service: "s".repeat(256) }],
] satisfies [string, Partial<LinkHost>][])("a host with %s ends the link", async (_what, change) => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.control(snapshot(1, [linkHost(network, "shelf", change)]));
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
});

test("a router cannot announce as a workload does, nor a workload as a router", async () => {
  await using network = await RouterNetwork.start();
  const raw = await linkFromOther(network);
  raw.announce("files");
  expect(await goawayOf(raw)).toBe(WireCode.protocol);
  const workload = await RawTunnel.connect(network, "shelf");
  workload.control(snapshot(1, []));
  expect(await goawayOf(workload)).toBe(WireCode.protocol);
});
