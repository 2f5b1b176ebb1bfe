/** NATS dies, stays away for a while, and is started again. */
import { setTimeout as pause } from "node:timers/promises";
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

test("while NATS is away dials go on and circuits live; then the record has all of it, and policy is followed again", async () => {
  const held = await agent.call("hold", { service: echo, count: 5 });
  await agent.call("startDialing", { service: echo, parallel: 2 });
  // Stopped, then killed: for a while nobody is told that it is gone.
  const nats = net.pid("nats");
  process.kill(nats, "SIGSTOP");
  await pause(3_000);
  process.kill(nats, "SIGKILL");
  await eventually("NATS is back", 20_000, async () => {
    const status = await net.admin.router.getStatus({}, { timeoutMs: 1_000 });
    return net.network.pids["nats"] !== nats && status.busConnected ? true : undefined;
  });
  const report = await agent.call("stopDialing", null);
  expect(report.failures).toEqual([]);
  expect(report.circuitIds.length).toBeGreaterThan(10);
  const alive = await agent.call("circuits", "held");
  expect(alive.filter(({ end }) => end !== null)).toEqual([]);
  expect(Math.max(...alive.map(({ longestSilenceMs }) => longestSilenceMs))).toBeLessThan(5_000);

  await agent.call("release", null);
  await Promise.all([host, agent].map((connector) => connector.call("flushAudit", null)));
  const ids = [...held, ...report.circuitIds];
  await eventually("every circuit is on record", 20_000, async () => {
    const missing = await net.missingOnRecord(ids);
    return missing.length === 0 ? true : undefined;
  });

  await net.admin.policy.revoke({ subject: { kind: { $case: "name", value: "agent" } }, reason: "drill" });
  await eventually("the revocation that came after NATS is in force", 5_000, async () => {
    return (await net.tunnelsOf("agent")) === 0 ? true : undefined;
  });
});
