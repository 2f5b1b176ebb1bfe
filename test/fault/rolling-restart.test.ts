/** All routers of a network are restarted, one after the other, while everybody works. */
import { Agent, everythingServer, throughSallyport } from "@sallyport/first-light";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { echo, FaultNetwork, tools, type ConnectorProcess } from "./fault-network.ts";

const DRAIN_MS = 4_000;

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
let dialers: readonly ConnectorProcess[];
let agent: Agent;

beforeAll(async () => {
  net = owned.use(await FaultNetwork.start({ routers: 2 }));
  const [host, ...others] = await Promise.all([
    net.connector({ workload: "shelf" }),
    net.connector({ workload: "agent" }),
    net.connector({ workload: "crowd" }),
  ]);
  await host.call("host", echo);
  dialers = others;
  const [toolHost, toolUser] = await Promise.all([net.enroll("shelf"), net.enroll("agent")]);
  const server = everythingServer();
  owned.use(net.sallyport.start(["host", tools, "--profile", toolHost, "--mcp", "--", server.command, ...server.args]));
  for (const service of [echo, tools]) await net.untilHosted(service, 30_000);
  agent = owned.use(await Agent.connect(throughSallyport(net.sallyport, toolUser, tools)));
});

afterAll(() => owned.disposeAsync());

interface Calls {
  readonly stop: () => Promise<{ readonly answered: number; readonly failures: readonly string[] }>;
}

function startCalling(): Calls {
  const stop = new AbortController();
  const failures: string[] = [];
  let answered = 0;
  const call = async (): Promise<void> => {
    for (let a = 0; !stop.signal.aborted; a += 1) {
      try {
        const { text } = await agent.call("get-sum", { a, b: 1 });
        if (!text.includes(`${a + 1}`)) failures.push(`${a} + 1 = ${text}`);
        answered += 1;
      } catch (error) {
        failures.push(String(error));
      }
      await pause(20);
    }
  };
  const running = call();
  return {
    stop: async () => {
      stop.abort();
      await running;
      return { answered, failures };
    },
  };
}

test("no dial fails, no circuit is cut before its deadline, and an MCP session goes on", async () => {
  for (const dialer of dialers) await dialer.call("startDialing", { service: echo, parallel: 2 });
  const calls = startCalling();
  const longLived = (
    await Promise.all(dialers.map((dialer) => dialer.call("hold", { service: echo, count: 5 })))
  ).flat();

  const drains: { readonly name: string; readonly circuits: ReadonlySet<string>; readonly startedAt: number }[] = [];
  for (const [name, process] of [
    ["1", "router"],
    ["2", "router-2"],
  ] as const) {
    drains.push({ name, circuits: await net.circuitsOn(name), startedAt: Date.now() });
    await net.network.restart(process, { drainMs: DRAIN_MS });
  }

  const reports = await Promise.all(dialers.map((dialer) => dialer.call("stopDialing", null)));
  expect(reports.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { circuitIds } of reports) expect(circuitIds.length).toBeGreaterThan(10);
  // The session goes on over every restart. Only the call that was under way at a deadline is told that nobody knows what became of it.
  const { answered, failures } = await calls.stop();
  expect(
    failures.filter(
      (failure) => !/: drained\. Whether the request took effect is unknown; it was not repeated/.test(failure),
    ),
  ).toEqual([]);
  expect(failures.length).toBeLessThanOrEqual(drains.length);
  expect(answered).toBeGreaterThan(5);
  expect((await agent.call("get-sum", { a: 19, b: 23 })).text).toContain("42");

  const fates = (await Promise.all(dialers.map((dialer) => dialer.call("circuits", "held")))).flat();
  expect(fates).toHaveLength(longLived.length);
  for (const { circuitId, end, endedAtUnixMs } of fates) {
    if (end === null) continue;
    const drain = drains.find(({ circuits }) => circuits.has(circuitId));
    expect(endedAtUnixMs - (drain?.startedAt ?? Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(DRAIN_MS - 100);
  }
});
