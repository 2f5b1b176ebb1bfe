/**
 * How evenly circuits share one router, each sending as fast as it may, with one more beside them whose reader has stalled. Jain's index is 1 when all
 * get the same. The sum is held against what a single circuit gets over the same processes.
 */
import { print, round } from "../figure.ts";
import { BenchNetwork, service } from "./bench-network.ts";

const floodMs = 4_000;
const warmUpBytes = 268_435_456;

export async function benchFairness(): Promise<void> {
  // A host takes 64 circuits of a service at once: two hosts, between which the router takes turns.
  await using network = await BenchNetwork.start();
  const [sink, source] = [network.app(), network.app()];
  const target = await sink.call("listen", null);
  for (const host of [await network.connector("host"), await network.connector("host")])
    await host.call("host", { service, target: `127.0.0.1:${target}` });
  const dialer = await network.connector("dialer");
  const port = await dialer.call("forward", { service });
  await source.call("send", { port, bytes: warmUpBytes });

  const flood = async (connections: number): Promise<readonly number[]> => {
    await source.call("flood", { port, connections });
    await sink.call("taken", null);
    const startedAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, floodMs));
    const bytes = await sink.call("taken", null);
    const ms = performance.now() - startedAt;
    await source.call("stop", null);
    return bytes.map((taken) => taken / 1e3 / ms);
  };
  const alone: number[] = [];
  const rates = new Map<number, readonly number[]>();
  for (const circuits of [8, 64]) {
    alone.push(sum(await flood(1)));
    await source.call("stall", { port });
    rates.set(circuits, await flood(circuits));
  }
  alone.push(sum(await flood(1)));
  const one = sum(alone) / alone.length;
  for (const [circuits, each] of rates) {
    const index = sum(each) ** 2 / (each.length * sum(each.map((rate) => rate * rate)));
    const peer = `${circuits} circuits and a stalled one: ${round(sum(each))} MB/s; one circuit alone: ${round(one)} MB/s (${alone.map(round).join(", ")})`;
    print({ figure: "circuit.fairness.jain", value: round(index), unit: "index", ratio: null, peer, n: each.length });
    print({
      figure: `circuit.fairness.total_${circuits}`,
      value: round(sum(each)),
      unit: "MB/s",
      ratio: round(sum(each) / one),
      peer: `one circuit alone: ${round(one)} MB/s`,
      n: each.length,
    });
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
