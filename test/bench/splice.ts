/**
 * What a router's process pays per byte and per frame, by its CPU time: one tunnel in, one tunnel out, each a TLS 1.3 connection with certificates on
 * both sides. Beside it, in turns, relays from TLS to TLS with certificates on both sides that carry the same bytes between the same load processes.
 * All of them negotiate the same cipher, which the figure names. A ratio is the median of the turns' ratios, since the machine changes between turns.
 */
import { join } from "node:path";
import { startWorker, type SpliceWorkerApi, type Worker } from "@sallyport/testing";
import { BenchNetwork, service } from "./circuit/bench-network.ts";
import { median, print, round } from "./figure.ts";
import type { LoadWorkerApi } from "./load/load-worker.ts";
import { certificateFiles } from "./peers/certificate-files.ts";
import { cpuSeconds } from "./peers/cpu-seconds.ts";
import { startHaproxy } from "./peers/haproxy.ts";
import { startNginx } from "./peers/nginx.ts";

const checkout = join(import.meta.dirname, "../..");
const circuits = 4;
const fullPayloadBytes = 16_376;
const smallPayloadBytes = 1_024;
const sliceBytes = 750_000_000;
const smallSliceBytes = 200_000_000;
const smallRounds = 20_000;

/** Something that carries bytes from the source to the sink. */
interface Path {
  readonly name: string;
  /** Answers with the bytes sent, which are not less than asked for. */
  readonly send: (bytes: number) => Promise<number>;
  readonly cpuSeconds: () => number;
}

interface Load {
  readonly source: Worker<LoadWorkerApi>;
  readonly sink: Worker<LoadWorkerApi>;
  /** CPU seconds per byte of one slice. */
  readonly measure: (path: Path, bytes: number) => Promise<number>;
}

export async function benchSplice(n: number): Promise<void> {
  await using owned = new AsyncDisposableStack();
  const network = owned.use(await BenchNetwork.start());
  const load = startLoad(owned);
  await perGigabyte(owned, network, load, n);
  await perFrame(owned, network, load, n);
}

function startLoad(owned: AsyncDisposableStack): Load {
  const file = join(import.meta.dirname, "load/load-worker.ts");
  const source = owned.use(startWorker<LoadWorkerApi>(file));
  const sink = owned.use(startWorker<LoadWorkerApi>(file));
  let total = 0;
  const measure = async (path: Path, bytes: number): Promise<number> => {
    const before = path.cpuSeconds();
    const sent = await path.send(bytes);
    total += sent;
    await sink.call("untilReceived", { bytes: total });
    return (path.cpuSeconds() - before) / sent;
  };
  return { source, sink, measure };
}

async function perGigabyte(owned: AsyncDisposableStack, network: BenchNetwork, load: Load, n: number): Promise<void> {
  const { source, sink } = load;
  const port = Number(network.address.split(":").at(-1));
  const [host, dialer, relayIdentity] = await Promise.all(
    ["host", "dialer", "stranger"].map((name) => network.router.call("issue", { name, instance: "load" })),
  );
  if (host === undefined || dialer === undefined || relayIdentity === undefined) throw new Error("No identities.");
  await sink.call("host", { port, identity: host, service });
  const tunnel = await source.call("connectTunnel", { port, identity: dialer });
  const streamIds = await source.call("openStreams", { tunnel, service, count: circuits });
  const router: Path = {
    name: "router",
    send: (bytes) => source.call("sendFrames", { tunnel, streamIds, bytes, payloadBytes: fullPayloadBytes }),
    cpuSeconds: () => cpuSeconds(network.router.pid),
  };

  const files = owned.use(await certificateFiles(relayIdentity));
  const sinkPort = await sink.call("listenTls", { echo: false, identity: host });
  let cipher = "";
  const relays: Path[] = [];
  for (const start of [startNginx, startHaproxy]) {
    const relay = await start(files, sinkPort);
    if (relay === null) continue;
    owned.use(relay);
    const connected = await source.call("connectTls", { port: relay.port, identity: dialer });
    cipher = connected.cipher;
    relays.push({
      name: relay.name,
      send: (bytes) => source.call("sendTls", { connection: connected.connection, bytes }),
      cpuSeconds: () => relay.cpuSeconds(),
    });
  }

  const samples = await inTurns([router, ...relays], load, sliceBytes, n);
  const own = samples.get("router") ?? [];
  for (const name of ["nginx", "haproxy"]) {
    const peer = samples.get(name);
    print({
      figure: `router.splice.cpu_seconds_per_gb${name === "nginx" ? "" : `.${name}`}`,
      value: round(median(own) * 1e9),
      unit: "s/GB",
      ratio: peer === undefined ? null : round(ratioOf(own, peer)),
      peer:
        peer === undefined
          ? `${name} is not on this machine`
          : `${name} stream, TLS to TLS, ${cipher}: ${round(median(peer) * 1e9)} s/GB`,
      n,
    });
  }
}

/**
 * The splice by itself, from a received buffer to the buffers that leave, and then with TLS on both sides, where encryption and the kernel are most of what
 * a frame costs, whoever relays it.
 */
async function perFrame(owned: AsyncDisposableStack, network: BenchNetwork, load: Load, n: number): Promise<void> {
  const { source, sink } = load;
  const identity = await network.router.call("issue", { name: "stranger", instance: "frames" });
  const relays = (["splice", "plain"] as const).map((version) => ({
    version,
    worker: owned.use(startWorker<SpliceWorkerApi>(join(checkout, "services/router/src/testing/splice-worker.ts"))),
  }));

  const inMemory = new Map<string, number[]>(relays.map(({ version }) => [version, []]));
  for (let turn = -1; turn < n; turn += 1) {
    for (const { version, worker } of relays) {
      const run = await worker.call("inMemory", { version, payloadBytes: smallPayloadBytes, rounds: smallRounds });
      if (turn >= 0) inMemory.get(version)?.push(run.cpuSeconds / run.frames); // The first is for the compilers.
    }
  }
  printFrames("router.splice.frames_per_cpu_second", inMemory, "each frame copied and encoded again", n);

  const paths: Path[] = [];
  for (const { version, worker } of relays) {
    const port = await worker.call("start", { identity, version, circuits });
    await sink.call("take", { port, identity });
    const tunnel = await source.call("connectTunnel", { port, identity });
    const streamIds = Array.from({ length: circuits }, (_, circuit) => 1 + 2 * circuit);
    paths.push({
      name: version,
      send: (bytes) => source.call("sendFrames", { tunnel, streamIds, bytes, payloadBytes: smallPayloadBytes }),
      cpuSeconds: () => cpuSeconds(worker.pid),
    });
  }
  const perByte = await inTurns(paths, load, smallSliceBytes, n);
  const withTls = new Map([...perByte].map(([name, values]) => [name, values.map((cost) => cost * smallPayloadBytes)]));
  printFrames(
    "router.splice.frames_per_cpu_second.with_tls",
    withTls,
    "each frame copied, encoded again and written",
    n,
  );
}

/** @param perFrame CPU seconds, by version. */
function printFrames(figure: string, perFrame: ReadonlyMap<string, readonly number[]>, peer: string, n: number): void {
  const [own, plain] = [perFrame.get("splice") ?? [], perFrame.get("plain") ?? []];
  print({
    figure,
    value: Math.round(1 / median(own)),
    unit: "1/s",
    ratio: round(ratioOf(plain, own)),
    peer: `${peer}: ${Math.round(1 / median(plain))} 1/s`,
    n,
  });
}

/** CPU seconds per byte, by path: first a short slice for the compilers, then one slice of each path per turn. */
async function inTurns(
  paths: readonly Path[],
  { measure }: Load,
  bytes: number,
  n: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const samples = new Map(paths.map(({ name }) => [name, new Array<number>()]));
  for (const path of paths) await measure(path, bytes / 4);
  for (let turn = 0; turn < n; turn += 1) {
    for (const path of paths) samples.get(path.name)?.push(await measure(path, bytes));
  }
  return samples;
}

function ratioOf(own: readonly number[], peer: readonly number[]): number {
  return median(own.map((value, turn) => value / (peer[turn] ?? Number.NaN)));
}
