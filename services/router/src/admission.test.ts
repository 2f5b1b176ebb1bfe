import { connect } from "node:tls";
import { once } from "node:events";
import {
  RotatingSvid,
  adminId,
  routerId,
  serviceId,
  workloadId,
  type Svid,
  type TrustBundle,
} from "@sallyport/identity";
import { createTestAuthority } from "@sallyport/testing";
import { WireCode } from "@sallyport/frame";
import { connectMtls } from "@sallyport/mtls";
import { expect, test } from "vitest";
import { RouterNetwork, reachPolicy } from "./testing/router-network.ts";

/** A client's view of being let in: HELLO comes, or the connection ends. TLS 1.3 lets a client believe in success before the server has judged. */
async function isLetIn(network: RouterNetwork, identity: RotatingSvid | null): Promise<boolean> {
  const { socket } = await connectMtls({
    carrier: network.router.address,
    identity,
    trust: network.authority.bundle,
    alpn: "sallyport/1",
    expect: () => true,
  });
  socket.on("error", () => undefined);
  const first = await Promise.race([
    once(socket, "data").then(([chunk]: Buffer[]) => chunk?.[2] ?? -1),
    once(socket, "close").then(() => -1),
  ]).catch(() => -1);
  socket.destroy();
  // The first frame of a router is CONTROL (type 9); of one that turns away, GOAWAY or nothing.
  return first === 9;
}

function presenting(svid: Svid, bundle: TrustBundle): RotatingSvid {
  return new RotatingSvid(svid, bundle);
}

test("a workload of the trust domain is let in, and its tunnel is on record with the group that this side negotiated", async () => {
  await using network = await RouterNetwork.start();
  await network.connect("agent");
  expect(network.recorded("tunnel.opened")).toMatchObject([
    { actorId: network.workloadId("agent").uri, actorName: "agent", tlsGroup: "X25519MLKEM768" },
  ]);
});

test("no certificate, a rogue root's, a foreign trust domain's and an expired one are refused", async () => {
  await using network = await RouterNetwork.start();
  const { authority } = network;
  const id = network.workloadId("agent");
  const rogue = await createTestAuthority();
  const foreign = await createTestAuthority("foreign.example");
  const expired = await authority.issue(id, { ttlSeconds: 60, now: new Date(Date.now() - 3_600_000) });
  expect(await isLetIn(network, await authority.source(id))).toBe(true);
  expect(await isLetIn(network, null)).toBe(false);
  expect(await isLetIn(network, presenting(await rogue.issue(id), authority.bundle))).toBe(false);
  expect(
    await isLetIn(
      network,
      presenting(await foreign.issue(workloadId("foreign.example", "agent", "1")), authority.bundle),
    ),
  ).toBe(false);
  expect(await isLetIn(network, presenting(expired, authority.bundle))).toBe(false);
  expect(network.recorded("tunnel.refused").map(({ errorCode }) => errorCode)).toEqual([
    "NO_CERTIFICATE",
    "UNTRUSTED",
    "UNTRUSTED",
    "EXPIRED",
  ]);
  expect(network.router.switchboard.tunnels.size).toBeLessThanOrEqual(1);
});

test("identities that are no workload's have no tunnel: admin, service, another router", async () => {
  await using network = await RouterNetwork.start();
  const { authority } = network;
  for (const id of [
    adminId(authority.trustDomain, "local"),
    serviceId(authority.trustDomain, "policy", "1"),
    routerId(authority.trustDomain, "2"),
  ]) {
    expect(await isLetIn(network, await authority.source(id))).toBe(false);
  }
  expect(network.recorded("tunnel.refused").map(({ errorCode }) => errorCode)).toEqual(
    Array(3).fill("IDENTITY_DENIED"),
  );
});

test("TLS 1.2 is refused", async () => {
  await using network = await RouterNetwork.start();
  const socket = connect({ ...network.router.address, maxVersion: "TLSv1.2", ALPNProtocols: ["sallyport/1"] });
  await expect(once(socket, "secureConnect")).rejects.toThrow(/alert|closed|ECONNRESET|disconnected/i);
});

test("a router that has no policy yet admits nobody, and admits once it has", async () => {
  await using network = await RouterNetwork.start({ policy: null });
  const agent = await network.authority.source(network.workloadId("agent"));
  expect(await isLetIn(network, agent)).toBe(false);
  expect(network.recorded("tunnel.refused")[0]).toMatchObject({ errorCode: "HEAD_STALE" });
  network.apply(network.author.publish(reachPolicy));
  expect(await isLetIn(network, agent)).toBe(true);
});

test("an identity on the deny-list is refused by name, instance and serial, and no other is", async () => {
  for (const subjectOf of [
    () => ({ $case: "name", value: "agent" }) as const,
    (uri: string) => ({ $case: "instance", value: uri }) as const,
    (_: string, serial: string) => ({ $case: "serial", value: serial }) as const,
  ]) {
    await using network = await RouterNetwork.start();
    const agent = await network.authority.source(network.workloadId("agent"));
    const { identity, serial } = agent.current();
    network.apply(network.author.deny(subjectOf(identity.id.uri, serial)));
    expect(await isLetIn(network, agent)).toBe(false);
    expect(await isLetIn(network, await network.authority.source(network.workloadId("other")))).toBe(true);
  }
});

test("a denied issuer takes everyone with it whom it certified", async () => {
  await using network = await RouterNetwork.start();
  const { tunnel } = await network.connect("other");
  const [tunnelPeer] = [...network.router.switchboard.tunnels].map(({ peer }) => peer);
  network.apply(network.author.deny({ $case: "issuer", value: tunnelPeer?.issuers[0] ?? "" }));
  expect(await tunnel.closed).toMatchObject({ kind: "goaway", code: WireCode.revoked });
  expect(await isLetIn(network, await network.authority.source(network.workloadId("agent")))).toBe(false);
});

test("a workload holds only so many tunnels", async () => {
  await using network = await RouterNetwork.start({ limits: { maxTunnelsPerIdentity: 2 } });
  const agent = await network.authority.source(network.workloadId("agent"));
  await network.connectAs(agent);
  await network.connectAs(agent);
  expect(await isLetIn(network, agent)).toBe(false);
  await network.connect("other");
});

test("a tunnel ends when its certificate's life does", async () => {
  await using network = await RouterNetwork.start();
  const source = await network.authority.source(network.workloadId("agent"), { ttlSeconds: 1 });
  const { tunnel } = await network.connectAs(source);
  expect(await tunnel.closed).toMatchObject({ kind: "goaway", code: WireCode.expired });
  expect(network.recorded("tunnel.closed")[0]).toMatchObject({ errorCode: "EXPIRED" });
});

test("a peer that proves its identity and never says HELLO is closed", async () => {
  await using network = await RouterNetwork.start({ limits: { helloMs: 50 } });
  const { socket } = await connectMtls({
    carrier: network.router.address,
    identity: await network.authority.source(network.workloadId("agent")),
    trust: network.authority.bundle,
    alpn: "sallyport/1",
    expect: () => true,
  });
  socket.on("error", () => undefined).resume();
  await once(socket, "close", { signal: AbortSignal.timeout(2_000) });
});
