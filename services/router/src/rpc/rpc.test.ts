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
