/**
 * One circuit's bytes per second, and the CPU time of every process between two plain TCP applications: connector → router → connector, TLS 1.3 end to
 * end inside TLS 1.3 to the router. Beside it, in turns, a pair of stunnels between the same two applications.
 */
import { startStunnel } from "../peers/stunnel.ts";
import { certificateFiles } from "../peers/certificate-files.ts";
import { cpuSeconds } from "../peers/cpu-seconds.ts";
import { median, print, round } from "../figure.ts";
import { BenchNetwork, service } from "./bench-network.ts";

const transferBytes = 402_653_184;
const warmUpBytes = 268_435_456;

interface Path {
  readonly port: number;
  readonly cpuSeconds: () => number;
  readonly rates: number[];
  readonly costs: number[];
}

export async function benchThroughput(n: number): Promise<void> {
  await using network = await BenchNetwork.start();
  const [host, dialer] = [await network.connector("host"), await network.connector("dialer")];
  const [sink, source] = [network.app(), network.app()];
  const target = await sink.call("listen", null);
  await host.call("host", { service, target: `127.0.0.1:${target}` });
  const pids = [dialer.pid, network.router.pid, host.pid];
  const circuit = path(await dialer.call("forward", { service }), () => sum(pids.map(cpuSeconds)));

  await using files = await certificateFiles(await network.router.call("issue", { name: "host", instance: "peer" }));
  await using server = await startStunnel(files, "server", target);
  await using client = server === null ? null : await startStunnel(files, "client", server.port);
  const paths = [circuit];
  if (server !== null && client !== null)
    paths.push(path(client.port, () => server.cpuSeconds() + client.cpuSeconds()));

  for (const { port } of paths) await source.call("send", { port, bytes: warmUpBytes });
  for (let turn = 0; turn < n; turn += 1) {
    for (const { port, cpuSeconds: used, rates, costs } of paths) {
      const before = used();
      const { bytes, ms } = await source.call("send", { port, bytes: transferBytes });
      rates.push(bytes / 1e3 / ms);
      costs.push(((used() - before) / bytes) * 1e9);
    }
  }
  const peer = paths[1];
  const name = "stunnel → stunnel";
  report("circuit.throughput", "MB/s", circuit.rates, peer?.rates, name, n);
  report("circuit.path.cpu_seconds_per_gb", "s/GB", circuit.costs, peer?.costs, name, n);
}

function path(port: number, used: () => number): Path {
  return { port, cpuSeconds: used, rates: [], costs: [] };
}

function report(
  figure: string,
  unit: "MB/s" | "s/GB",
  own: readonly number[],
  others: readonly number[] | undefined,
  name: string,
  n: number,
): void {
  const value = median(own);
  if (others === undefined) {
    print({ figure, value: round(value), unit, ratio: null, peer: "stunnel is not on this machine", n });
    return;
  }
  const other = median(others);
  print({
    figure,
    value: round(value),
    unit,
    ratio: round(value / other),
    peer: `${name}: ${round(other)} ${unit}`,
    n,
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
