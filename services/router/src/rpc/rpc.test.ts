import { ListCircuitsRequest, ListHostsRequest, ListTunnelsRequest } from "@sallyport/proto/router";
import { expect, test } from "vitest";
import { RouterNetwork } from "../testing/router-network.ts";
import { getStatus } from "./get-status.ts";
import { listCircuits } from "./list-circuits.ts";
import { listHosts } from "./list-hosts.ts";
import { listTunnels } from "./list-tunnels.ts";
import type { Call } from "@sallyport/service";

const call: Call = { caller: { kind: "anonymous" }, signal: new AbortController().signal };

test("status, tunnels, hosts and circuits are what is there now", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  hosted.resume();
  await new Promise<void>((resolve) => stream.write(Buffer.alloc(1_000), () => resolve()));
  await new Promise<void>((resolve) => hosted.once("data", () => resolve()));
  const { router, mirror } = network;
  const { switchboard } = router;
  const bus = { connected: true, tlsGroup: "X25519" };
  const status = getStatus({
    router,
    links: () => [],
    policy: mirror.state,
    bus,
    routerId: "r",
    publicAddress: "example.net:443",
  });
  expect(await status({}, call)).toMatchObject({
    publicAddress: "example.net:443",
    headSequence: 1,
    denyListVersion: 1,
    tunnels: 2,
    circuits: 1,
    bytesForwarded: 1_000,
    notAdmittingBecause: "",
    tlsGroups: { X25519MLKEM768: 2 },
    busTlsGroup: "X25519",
  });
  const { tunnels } = await listTunnels(switchboard)(ListTunnelsRequest.create(), call);
  expect(tunnels.map(({ spiffeId, streams }) => [spiffeId, streams])).toEqual([
    [host.id.uri, 1],
    [dialer.id.uri, 1],
  ]);
  const { hosts } = await listHosts(switchboard)(ListHostsRequest.create(), call);
  expect(hosts).toMatchObject([{ service: "files", spiffeId: host.id.uri }]);
  const { circuits } = await listCircuits(switchboard)(ListCircuitsRequest.create(), call);
  expect(circuits).toMatchObject([
    { service: "files", dialerId: dialer.id.uri, hostId: host.id.uri, bytesFromDialer: 1_000, bytesFromHost: 0 },
  ]);
});

test("a router without policy says why it admits nobody", async () => {
  await using network = await RouterNetwork.start({ policy: null });
  const bus = { connected: false, tlsGroup: "X25519" };
  const status = getStatus({
    router: network.router,
    links: () => [],
    policy: network.mirror.state,
    bus,
    routerId: "r",
    publicAddress: "",
  });
  expect(await status({}, call)).toMatchObject({
    notAdmittingBecause: "no policy head has arrived yet",
    busTlsGroup: "",
  });
});

test("lists are filtered by workload and service, cut at a limit, and say how many there are", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files", "vault"]);
  const agent = await network.connect("agent");
  for (let dials = 0; dials < 3; dials += 1) await network.circuit(agent, "files");
  const { switchboard } = network.router;
  const tunnels = await listTunnels(switchboard)({ workload: "agent", limit: 0 }, call);
  expect(tunnels).toMatchObject({ total: 1, tunnels: [{ spiffeId: agent.id.uri }] });
  const byId = await listTunnels(switchboard)({ workload: host.id.uri, limit: 0 }, call);
  expect(byId.tunnels.map(({ spiffeId }) => spiffeId)).toEqual([host.id.uri]);
  const hosts = await listHosts(switchboard)({ service: "vault", limit: 0 }, call);
  expect(hosts).toMatchObject({ total: 1, hosts: [{ service: "vault", circuits: 0, viaRouterId: "" }] });
  const circuits = await listCircuits(switchboard)({ service: "files", workload: "shelf", limit: 2 }, call);
  expect(circuits).toMatchObject({ total: 3, circuits: [{ hostId: host.id.uri }, { hostId: host.id.uri }] });
  expect((await listCircuits(switchboard)({ service: "vault", workload: "", limit: 0 }, call)).total).toBe(0);
  for (const listing of [
    listTunnels(switchboard)({ workload: "", limit: 5_001 }, call),
    listHosts(switchboard)({ service: "", limit: 5_001 }, call),
    listCircuits(switchboard)({ service: "", workload: "", limit: 5_001 }, call),
  ])
    await expect(listing).rejects.toMatchObject({ code: "LIMIT_INVALID", field: "limit" });
});

test("what a tunnel moved counts both ways, on circuits that ended too", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const agent = await network.connect("agent");
  const talk = async (): Promise<void> => {
    const stream = await network.circuit(agent, "files");
    const hosted = await host.next();
    stream.resume().end(Buffer.alloc(300));
    hosted.resume().end(Buffer.alloc(500));
    await Promise.all([stream, hosted].map((end) => new Promise((resolve) => end.once("close", resolve))));
  };
  await talk();
  await talk();
  const { tunnels } = await listTunnels(network.router.switchboard)(ListTunnelsRequest.create(), call);
  expect(tunnels.map(({ bytesIn, bytesOut }) => [bytesIn, bytesOut])).toEqual([
    [1_000, 600],
    [600, 1_000],
  ]);
});
