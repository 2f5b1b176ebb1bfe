/**
 * From the command to the last byte: 1,000 circuits over two routers, all streaming, a quarter of them to slow readers behind full queues; identities are
 * revoked one after the other, each with its 50 circuits.
 *
 * The clock starts before the call of policy's Revoke, so that it includes the call, the signed deny-list over the bus to both routers, and the way from
 * there to both ends of each circuit. It stops with the last byte that an application took from a circuit, at either end; `ended` is when that end knew
 * that the circuit was over, after which no byte can come.
 */
import type { Worker } from "@sallyport/testing";
import { percentile, print, round } from "./figure.ts";
import { monotonicMs } from "./workloads/flow.ts";
import { openWorkloadsNetwork, service, type WorkloadsNetwork } from "./workloads/open-network.ts";
import type { EndReport, WorkloadsApi } from "./workloads/workloads-worker.ts";

const circuitsEach = { down: 25, up: 12, slow: 13 } as const;
const dialers = Array.from({ length: 20 }, (_, index) => `agent-${index + 1}`);
const hosts = Array.from({ length: 6 }, (_, index) => `host-${index + 1}`);
const maxCircuits = 256;
const settleMs = 3_000;
const betweenMs = 400;
const endedTimeoutMs = 10_000;

/** @param n identities to revoke, at most 20. */
export async function benchRevoke(n: number): Promise<void> {
  await using bench = await openWorkloadsNetwork({ routers: 2, dialers, hosts });
  const workers = await join(bench);
  process.stderr.write(`${dialers.length * 50} circuits stream\n`);
  await new Promise((resolve) => setTimeout(resolve, settleMs));

  const lastBytes: number[] = [];
  const ends: number[] = [];
  const calls: number[] = [];
  for (const name of dialers.slice(0, n)) {
    await new Promise((resolve) => setTimeout(resolve, betweenMs));
    const startedAt = monotonicMs();
    await bench.network.admin.policy.revoke({ subject: { kind: { $case: "name", value: name } }, reason: "bench" });
    calls.push(monotonicMs() - startedAt);
    for (const { lastByteMs, endedMs } of await ended(workers, name)) {
      if (lastByteMs !== null) lastBytes.push(Math.max(0, lastByteMs - startedAt));
      if (endedMs !== null) ends.push(endedMs - startedAt);
    }
  }
  const range = (samples: readonly number[]): string =>
    `p50 ${round(percentile(samples, 50))} ms, greatest ${round(percentile(samples, 100))} ms`;
  print({
    figure: "revoke.last_byte.p99_ms",
    value: round(percentile(lastBytes, 99)),
    unit: "ms",
    ratio: null,
    peer: range(lastBytes),
    n: lastBytes.length,
  });
  print({
    figure: "revoke.ended.p99_ms",
    value: round(percentile(ends, 99)),
    unit: "ms",
    ratio: null,
    peer: `${range(ends)}; the call alone: ${range(calls)}`,
    n: ends.length,
  });
}

async function join(bench: WorkloadsNetwork): Promise<readonly Worker<WorkloadsApi>[]> {
  const [first, second, third] = [bench.worker(), bench.worker(), bench.worker()];
  const dialing = [first, second];
  await Promise.all(
    hosts.map(async (name, index) => {
      await bench.join(third, name, index % 2 === 1);
      await third.call("host", { name, service, maxCircuits });
    }),
  );
  await Promise.all(
    dialing.map(async (worker, which) => {
      for (const [index, name] of dialers.entries()) {
        if (index % 2 !== which) continue;
        await bench.join(worker, name, index % 4 > 1);
        for (const flow of ["down", "up", "slow"] as const)
          await worker.call("dial", { name, service, flow, count: circuitsEach[flow] });
      }
    }),
  );
  return [first, second, third];
}

/** What both ends of each circuit of that dialer saw, once all are over. */
async function ended(workers: readonly Worker<WorkloadsApi>[], dialer: string): Promise<readonly EndReport[]> {
  const deadline = Date.now() + endedTimeoutMs;
  for (;;) {
    const reports = await Promise.all(workers.map((worker) => worker.call("report", { dialer })));
    if (reports.flat().every(({ endedMs }) => endedMs !== null)) return reports.flat();
    if (Date.now() > deadline) throw new Error(`circuits of ${dialer} outlive its revocation`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
