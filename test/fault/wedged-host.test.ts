/** A host that is stopped in its tracks: the process and its connections are there, and nothing answers. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
let host: ConnectorProcess;
let agent: ConnectorProcess;

beforeAll(async () => {
  net = owned.use(await FaultNetwork.start({ routers: 2, routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }));
  [host, agent] = await Promise.all([net.connector({ workload: "shelf" }), net.connector({ workload: "agent" })]);
  await host.call("host", echo);
});

afterAll(() => owned.disposeAsync());

test("a wedged connector is noticed within 15 s, and heals within 30 s of its waking up", async () => {
  await agent.call("hold", { service: echo, count: 3 });
  const stoppedAt = performance.now();
  process.kill(host.pid, "SIGSTOP");
  owned.defer(() => void process.kill(host.pid, "SIGCONT"));
  await eventually("no router says that the service is up", 15_000, async () =>
    (await net.hostsUp()) === 0 ? true : undefined,
  );
  await eventually("the dialer's circuits have ended", 15_000, async () => {
    const fates = await agent.call("circuits", "held");
    return fates.every(({ end }) => end !== null && end !== "ended") ? true : undefined;
  });
  expect(performance.now() - stoppedAt).toBeLessThan(15_000);

  process.kill(host.pid, "SIGCONT");
  await agent.call("startDialing", { service: echo, parallel: 1 });
  await eventually("a dial arrives again", 30_000, async () => ((await net.hostsUp()) > 0 ? true : undefined));
});
