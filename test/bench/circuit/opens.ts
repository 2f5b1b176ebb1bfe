/**
 * Opening circuits: with their end-to-end handshakes on a router that has 1,000 live ones already, and the router's own part of it.
 *
 * Limits that stand in the way of a load from one machine: a tunnel has at most 256 streams each way, so that dialers and hosts are several; opens per
 * second and identity are lifted by option; a host's circuits at once are its own option.
 */
import { join } from "node:path";
import { startWorker, type Worker } from "@sallyport/testing";
import { percentile, print, round } from "../figure.ts";
import { cpuSeconds } from "../peers/cpu-seconds.ts";
import { BenchNetwork, service } from "./bench-network.ts";
import type { ConnectorWorkerApi } from "./connector-worker.ts";
import type { RawOpensApi } from "./raw-opens-worker.ts";

const liveCircuits = 1_000;
const workloadsEach = 5;
const opensAtOnce = 8;
const opensForRate = 600;
const unlimited = { opensPerSecondPerIdentity: 100_000, openBurstPerIdentity: 100_000 };
/** A tunnel takes 1,000 OPEN per second. */
const rawTunnels = 12;
const rawPerTunnelPerSecond = 900;
const rawMs = 5_000;

export async function benchOpens(n: number): Promise<void> {
  await using network = await BenchNetwork.start(unlimited);
  const dialers: Worker<ConnectorWorkerApi>[] = [];
  const pids = [network.router.pid];
  for (let workload = 0; workload < workloadsEach; workload += 1) {
    const host = await network.connector("host");
    await host.call("hold", { service, maxCircuits: 256 });
    const dialer = await network.connector("dialer");
    dialers.push(dialer);
    pids.push(host.pid, dialer.pid);
  }
  const dial = (count: number, atOnce: number, close: boolean): Promise<readonly (readonly number[])[]> =>
    Promise.all(dialers.map((dialer) => dialer.call("dial", { service, count, atOnce, close })));
  await dial(liveCircuits / workloadsEach, 2, false);
  if ((await network.router.call("circuits", null)) < liveCircuits) throw new Error("there are not enough circuits");

  const [first] = dialers;
  if (first === undefined) return;
  await first.call("dial", { service, count: 50, atOnce: 1, close: true });
  const times = await first.call("dial", { service, count: n, atOnce: 1, close: true });
  const peer = `one dial at a time, ${liveCircuits} circuits live; p50 ${round(percentile(times, 50))} ms`;
  print({ figure: "circuit.open.p99_ms", value: round(percentile(times, 99)), unit: "ms", ratio: null, peer, n });

  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  const startedAt = performance.now();
  await dial(opensForRate / workloadsEach, Math.ceil(opensAtOnce / workloadsEach), true);
  const seconds = (performance.now() - startedAt) / 1_000;
  const each = round(((used() - before) / opensForRate) * 1_000);
  print({
    figure: "circuit.open.per_second",
    value: round(opensForRate / seconds),
    unit: "1/s",
    ratio: null,
    peer: `both ends' handshakes and all processes on this machine, ${each} ms of CPU time each, of both ends and the router`,
    n: opensForRate,
  });
}

/** Without handshakes: OPEN and ACCEPT of generators that do nothing else. */
export async function benchRouterOpens(): Promise<void> {
  await using network = await BenchNetwork.start(unlimited);
  const worker = join(import.meta.dirname, "raw-opens-worker.ts");
  await using hosts = startWorker<RawOpensApi>(worker);
  await using dialers = startWorker<RawOpensApi>(worker);
  const port = Number(network.address.split(":").at(-1));
  const as = async (name: string, instance: number): Promise<Parameters<RawOpensApi["host"]>[0]> => ({
    port,
    service,
    identity: await network.router.call("issue", { name, instance: String(instance) }),
  });
  for (let tunnel = 0; tunnel < rawTunnels; tunnel += 1) {
    await hosts.call("host", await as("host", tunnel));
    await dialers.call("connect", await as("dialer", tunnel));
  }
  await dialers.call("dial", { ms: 1_000, perTunnelPerSecond: rawPerTunnelPerSecond });
  const before = cpuSeconds(network.router.pid);
  const { opened, ms } = await dialers.call("dial", { ms: rawMs, perTunnelPerSecond: rawPerTunnelPerSecond });
  const used = cpuSeconds(network.router.pid) - before;
  print({
    figure: "circuit.open.router_per_second",
    value: round(opened / used),
    unit: "1/s",
    ratio: null,
    peer: `per second of the router's CPU; by the clock ${round(opened / (ms / 1_000))} per second, with the generators on the same machine`,
    n: opened,
  });
}

export async function benchDenied(n: number): Promise<void> {
  await using network = await BenchNetwork.start({ ...unlimited });
  const stranger = await network.connector("stranger");
  await stranger.call("dialDenied", { service, count: 50 });
  const times = await stranger.call("dialDenied", { service, count: n });
  const peer = `one dial at a time; p50 ${round(percentile(times, 50))} ms`;
  print({ figure: "dial.denied.p99_ms", value: round(percentile(times, 99)), unit: "ms", ratio: null, peer, n });
}
