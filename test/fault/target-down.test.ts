/** What a connector forwards to goes away and comes back, while the connector is as well as ever. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
let agent: ConnectorProcess;
let target: Server;
let port: number;

beforeAll(async () => {
  net = owned.use(await FaultNetwork.start({ routers: 2, routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }));
  target = owned.use(await listen(0));
  ({ port } = target.address() as AddressInfo); // Of a listening TCP server.
  const host = await net.connector({ workload: "shelf" });
  agent = await net.connector({ workload: "agent" });
  await host.call("forward", { service: echo, target: `127.0.0.1:${port}` });
});

afterAll(() => owned.disposeAsync());

test("a target that is down is noticed within 15 s, refused with its reason within 2 s, and dialed again when it is back", async () => {
  await eventually("the service is up", 15_000, async () => ((await net.hostsUp()) === 2 ? true : undefined));
  target.close();
  await once(target, "close");
  await eventually("no router says that the service is up", 15_000, async () =>
    (await net.hostsUp()) === 0 ? true : undefined,
  );
  await agent.call("startDialing", { service: echo, parallel: 1 });
  const { failures, circuitIds, slowestMs } = await agent.call("stopDialing", null);
  expect(circuitIds).toHaveLength(0);
  expect(failures[0]?.why).toContain("HOST_DOWN");
  expect(failures[0]?.why).toContain("ECONNREFUSED");
  expect(slowestMs).toBeLessThan(2_000);

  target = owned.use(await listen(port));
  await eventually("the service is up again", 30_000, async () => ((await net.hostsUp()) === 2 ? true : undefined));
  await agent.call("startDialing", { service: echo, parallel: 1 });
  expect((await agent.call("stopDialing", null)).failures).toStrictEqual([]);
  const kinds = await eventually("both are on record, by both routers", 15_000, async () => {
    const [down, up] = await Promise.all([net.recorded({ kind: "host.down" }), net.recorded({ kind: "host.up" })]);
    return down.length + up.length === 4 ? [...down, ...up].map(({ kind }) => kind) : undefined;
  });
  expect(kinds).toStrictEqual(["host.down", "host.down", "host.up", "host.up"]);
});

async function listen(onPort: number): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
  server.listen(onPort, "127.0.0.1");
  await once(server, "listening");
  return server;
}
