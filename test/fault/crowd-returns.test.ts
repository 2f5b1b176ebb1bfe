/** Two thousand tunnels that lose their router in the same moment, and come home to it. */
import { join } from "node:path";
import { startWorker, type Worker } from "@sallyport/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";
import type { CrowdApi, CrowdCount } from "./tunnel-crowd-api.ts";

const PROFILES = 40;
const TUNNELS_PER_PROFILE = 50;
const TUNNELS = PROFILES * TUNNELS_PER_PROFILE;
/** From the loss of the router to the last tunnel: its start, their back-off of up to 5 s, and 250 handshakes a second. */
const HOME_WITHIN_MS = 30_000;
/** On a machine that is busy with other things, this many times what they took to come one behind the other. */
const SLOWER_THAN_IN_LINE = 2;
const TIMEOUT_MS = 240_000;

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
let agent: ConnectorProcess;
let crowds: readonly Worker<CrowdApi>[];
let cameInMs: number;

beforeAll(async () => {
  net = owned.use(await FaultNetwork.start({ routers: 2, routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }));
  const [one = "", two = ""] = net.network.routerAddresses;
  const routers = [two];
  const host = await net.connector({ workload: "shelf", routers });
  await host.call("host", echo);
  agent = await net.connector({ workload: "agent", routers });
  const profiles = await Promise.all(Array.from({ length: PROFILES }, () => net.enroll("crowd")));
  const half = PROFILES / 2;
  crowds = [0, 1].map(() => owned.use(startWorker<CrowdApi>(join(import.meta.dirname, "tunnel-crowd-worker.ts"))));
  const startedAt = performance.now();
  await Promise.all(
    crowds.map((crowd, index) =>
      crowd.call("gather", {
        profiles: profiles.slice(index * half, (index + 1) * half),
        folders: net.folders,
        perProfile: TUNNELS_PER_PROFILE,
        router: one,
        network: index + 1,
      }),
    ),
  );
  cameInMs = performance.now() - startedAt;
}, TIMEOUT_MS);

afterAll(() => owned.disposeAsync());

async function counted(): Promise<CrowdCount> {
  const [a, b] = await Promise.all(crowds.map((crowd) => crowd.call("count", null)));
  if (a === undefined || b === undefined) throw new Error("there are two crowds");
  return { up: a.up + b.up, lost: a.lost + b.lost, failed: a.failed + b.failed };
}

test(
  "all are back within 30 s, and a circuit on the other router goes on meanwhile",
  { timeout: TIMEOUT_MS },
  async () => {
    await agent.call("hold", { service: echo, count: 1 });
    const before = await counted();
    process.kill(net.pid("router"), "SIGKILL");
    const startedAt = performance.now();
    const withinMs = Math.max(HOME_WITHIN_MS, SLOWER_THAN_IN_LINE * cameInMs);
    await eventually("everyone is home", withinMs, async () => {
      const { up, lost } = await counted();
      return up === TUNNELS && lost >= before.lost + TUNNELS ? true : undefined;
    });
    const tookMs = performance.now() - startedAt;
    const { lost, failed } = await counted();
    process.stdout.write(
      `${TUNNELS} tunnels home in ${(tookMs / 1_000).toFixed(1)} s (one behind the other: ${(cameInMs / 1_000).toFixed(1)} s), after ${failed - before.failed} attempts that failed\n`,
    );
    // Hardly anybody who was home was lost again.
    expect(lost - before.lost).toBeLessThan(TUNNELS * 1.05);
    const [fate] = await agent.call("circuits", "held");
    expect(fate).toMatchObject({ end: null });
    expect(fate?.longestSilenceMs).toBeLessThan(5_000);
  },
);
