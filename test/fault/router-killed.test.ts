/** Two routers, on ports of their own; one is killed under load. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";
import { eventually } from "./eventually.ts";

const DIALERS = 2;
const PARALLEL = 2;

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
let host: ConnectorProcess;
let agent: ConnectorProcess;
let crowd: ConnectorProcess;

beforeAll(async () => {
  net = owned.use(await FaultNetwork.start({ routers: 2, routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }));
  [host, agent, crowd] = await Promise.all([
    net.connector({ workload: "shelf" }),
    net.connector({ workload: "agent" }),
    net.connector({ workload: "crowd" }),
  ]);
  await host.call("host", echo);
  await Promise.all([net.untilHosts("1", 1, 10_000), net.untilHosts("2", 1, 10_000)]);
});

afterAll(() => owned.disposeAsync());

test("a router killed under load: its circuits end as errors, dials go on over the other, its host is back on the restarted one", async () => {
  const dialers = [agent, crowd];
  for (const dialer of dialers) await dialer.call("hold", { service: echo, count: 20 });
  for (const dialer of dialers) await dialer.call("startDialing", { service: echo, parallel: PARALLEL });
  const [one, two] = await Promise.all([net.circuitsOn("1"), net.circuitsOn("2")]);
  const [victim, survivor] = one.size >= two.size ? (["1", "2"] as const) : (["2", "1"] as const);
  const doomed = victim === "1" ? one : two;
  expect(doomed.size).toBeGreaterThanOrEqual(20);

  process.kill(net.pid(victim === "1" ? "router" : "router-2"), "SIGKILL");

  const fates = await eventually("the ends of the circuits on it, at both connectors", 10_000, async () => {
    const held = (await Promise.all(dialers.map((dialer) => dialer.call("circuits", "held")))).flat();
    const hosted = await host.call("circuits", "hosted");
    const ends = [...held, ...hosted].filter(({ circuitId }) =>
      held.some((one) => one.circuitId === circuitId && doomed.has(circuitId)),
    );
    return ends.length > 0 && ends.every(({ end }) => end !== null) ? { held, ends } : undefined;
  });
  expect(new Set(fates.ends.map(({ end }) => end))).not.toContain("ended");
  expect(fates.held.filter(({ circuitId, end }) => !doomed.has(circuitId) && end !== null)).toEqual([]);

  await net.untilHosts(survivor, 1, 10_000);
  await net.untilHosts(victim, 1, 20_000);
  const reports = await Promise.all(dialers.map((dialer) => dialer.call("stopDialing", null)));
  const failures = reports.flatMap((report) => report.failures);
  // Of those who dial on and on, each was in one circuit at most; no dial failed.
  expect(failures.filter(({ why }) => !/The circuit to echo was (cut|reset)/.test(why))).toEqual([]);
  expect(failures.length).toBeLessThanOrEqual(DIALERS * PARALLEL);

  await Promise.all(dialers.map((dialer) => dialer.call("release", null)));
  await Promise.all([host, ...dialers].map((connector) => connector.call("flushAudit", null)));
  const heldIds = fates.held.map(({ circuitId }) => circuitId);
  const dialedIds = reports.flatMap(({ circuitIds }) => circuitIds);
  await eventually("every circuit is on record at both ends", 20_000, async () =>
    (await net.missingOnRecord([...heldIds, ...dialedIds], ["dialer", "host"])).length === 0 ? true : undefined,
  );
  // The killed router's own view: what it had told its journal is on record, by its successor.
  await eventually("the routers' openings are on record", 20_000, async () => {
    const missing = await net.missingOnRecord(heldIds, ["router"]);
    return missing.every((line) => line.startsWith("router circuit.closed")) ? true : undefined;
  });
  const closed = await net.recorded({ vantage: "dialer", kind: "circuit.closed" });
  const cut = closed.filter(({ circuitId, outcome }) => outcome !== "ok" && heldIds.includes(circuitId));
  expect(new Set(cut.map(({ circuitId }) => circuitId))).toEqual(new Set(heldIds.filter((id) => doomed.has(id))));
});
