/**
 * Memory and descriptors of every process under a mixed load: circuits that open, stream and close, slow readers among them, MCP calls over a standing
 * session and over fresh ones, bulk transfers, revocations and reinstatements, and renewals (certificates live two minutes).
 */
import { readFileSync, readdirSync } from "node:fs";
import { print, round } from "./figure.ts";
import { residentKib } from "./peers/cpu-seconds.ts";
import { growthOf, type Growth, type Sample } from "./soak/growth.ts";
import { caller, dialers, hosts, openMixedLoad, toolsHost } from "./soak/mixed-load.ts";
import { openWorkloadsNetwork } from "./workloads/open-network.ts";

const sampleEveryMs = 10_000;
const maxWarmUpMs = 300_000;
const svidTtlSeconds = 120;

/** @param minutes of load. What grew in the first five, or in the first fifth of a shorter run, is warming up. */
export async function benchSoak(minutes: number): Promise<void> {
  await using bench = await openWorkloadsNetwork({
    routers: 2,
    dialers: [...dialers, caller],
    hosts: [...hosts, toolsHost],
    svidTtlSeconds,
  });
  await using load = await openMixedLoad(bench);
  const samples = new Map<string, Sample[]>();
  const end = AbortSignal.timeout(minutes * 60_000);
  const startedAt = Date.now();
  const sample = (): void => {
    for (const [name, pid] of withChildren({ ...bench.network.pids }, load.pids)) {
      const series = samples.get(name) ?? [];
      samples.set(name, series);
      series.push({ atMs: Date.now() - startedAt, residentKib: residentKib(pid), descriptors: descriptorsOf(pid) });
    }
  };
  const timer = setInterval(sample, sampleEveryMs);
  await load.run(end);
  clearInterval(timer);

  for (const [part, { done, failed, lastFailure }] of Object.entries(load.tally))
    process.stderr.write(`${part}: ${done} done, ${failed} failed${failed > 0 ? `, last: ${lastFailure}` : ""}\n`);
  const warmUpMs = Math.min(maxWarmUpMs, minutes * 12_000);
  for (const [name, series] of samples) report(name, growthOf(series.filter(({ atMs }) => atMs >= warmUpMs)), series);
}

/** Children of services stay as long as these do; those of workloads come and go with their circuits. */
function withChildren(
  services: Readonly<Record<string, number>>,
  workloads: Readonly<Record<string, number>>,
): readonly (readonly [name: string, pid: number])[] {
  const children = Object.entries(services).flatMap(([name, pid]) =>
    childrenOf(pid).map((child, index) => [`${name}, child ${index + 1}`, child] as const),
  );
  return [...Object.entries(services), ...children, ...Object.entries(workloads)];
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

function report(name: string, growth: Growth, series: readonly Sample[]): void {
  const [firstKib, lastKib] = growth.residentKib;
  const [firstDescriptors, lastDescriptors] = growth.descriptors;
  const peer = `${name}: ${firstKib} KiB, then ${lastKib}${growth.grows ? " GROWS" : ""}`;
  const n = series.length;
  print({ figure: "soak.kib_per_minute", value: round(growth.kibPerMinute), unit: "KiB", ratio: null, peer, n });
  print({
    figure: "soak.descriptors_per_minute",
    value: round(growth.descriptorsPerMinute),
    unit: "descriptors",
    ratio: null,
    peer: `${name}: ${firstDescriptors}, then ${lastDescriptors}`,
    n,
  });
  if (growth.grows) process.exitCode = 1;
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
