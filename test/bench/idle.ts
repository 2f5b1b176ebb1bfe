/**
 * What a tunnel costs a router that does nothing: `n` tunnels, each of which carried 1 MiB both ways before, half of them as hosts and half as dialers.
 * The growth of the router's resident memory, after a collection, per tunnel. Beside it, in the same run, as many bare TLS connections of Node, each of
 * which carried the same.
 */
import { join } from "node:path";
import { startWorker, type IssuedIdentity, type Worker } from "@sallyport/testing";
import { BenchNetwork, service } from "./circuit/bench-network.ts";
import { print, round } from "./figure.ts";
import type { LoadWorkerApi } from "./load/load-worker.ts";
import { residentKib } from "./peers/cpu-seconds.ts";

const carriedBytes = 1_048_576;
/** Below what a router allows one identity. */
const tunnelsPerIdentity = 50;
/** Who hosts is chosen by the router: a host may have its turn only in a later round. */
const maxRounds = 4;
const gcArgs = ["--expose-gc"];
const loadFile = join(import.meta.dirname, "load/load-worker.ts");

export async function benchIdle(n: number): Promise<void> {
  const pairs = Math.ceil(n / 2);
  const tunnelKib = await perTunnel(pairs);
  const bareKib = await perConnection(2 * pairs);
  print({
    figure: "tunnel.idle.kib",
    value: round(tunnelKib),
    unit: "KiB",
    ratio: round(tunnelKib / bareKib),
    peer: `a bare TLS connection of Node: ${round(bareKib)} KiB`,
    n: 2 * pairs,
  });
}

async function perTunnel(pairs: number): Promise<number> {
  await using owned = new AsyncDisposableStack();
  // All of them come from one address, as fast as two processes can: that is the load of the set-up, not what is measured.
  const limits = {
    connectionsPerSecondPerSource: 10_000,
    firstByteMs: 30_000,
    handshakeMs: 30_000,
    overloadDelayMs: 60_000,
  };
  const network = owned.use(await BenchNetwork.start(limits, gcArgs));
  const hosts = owned.use(startWorker<LoadWorkerApi>(loadFile));
  const dialers = owned.use(startWorker<LoadWorkerApi>(loadFile));
  const port = Number(network.address.split(":").at(-1));
  const [hostIdentities, dialerIdentities] = [
    await identitiesOf(network, "host", pairs),
    await identitiesOf(network, "dialer", pairs),
  ];
  await network.router.call("collect", null);
  const before = residentKib(network.router.pid);
  await hosts.call("hostMany", { port, identities: hostIdentities, service, answerBytes: carriedBytes });
  await dialers.call("connectMany", { port, identities: dialerIdentities });
  for (let round = 0; (await hosts.call("received", { bytes: carriedBytes })) < pairs; round += 1) {
    if (round === maxRounds) throw new Error("The router left a host without a circuit.");
    await dialers.call("exchangeAll", { service, bytes: carriedBytes });
  }
  await untilNoCircuit(network);
  await network.router.call("collect", null);
  return (residentKib(network.router.pid) - before) / (2 * pairs);
}

async function perConnection(connections: number): Promise<number> {
  await using owned = new AsyncDisposableStack();
  const network = owned.use(await BenchNetwork.start());
  const server = owned.use(startWorker<LoadWorkerApi>(loadFile, gcArgs));
  const client = owned.use(startWorker<LoadWorkerApi>(loadFile));
  const identity = await network.router.call("issue", { name: "host", instance: "bare" });
  const port = await server.call("listenTls", { echo: true, identity });
  await server.call("collect", null);
  const before = residentKib(server.pid);
  await client.call("connectTlsMany", { port, identity, connections, bytes: carriedBytes });
  await server.call("collect", null);
  return (residentKib(server.pid) - before) / connections;
}

/** One per tunnel: the same for a few tunnels each. */
async function identitiesOf(
  network: BenchNetwork,
  name: "host" | "dialer",
  tunnels: number,
): Promise<readonly IssuedIdentity[]> {
  const distinct: IssuedIdentity[] = [];
  for (let instance = 0; instance * tunnelsPerIdentity < tunnels; instance += 1) {
    distinct.push(await network.router.call("issue", { name, instance: `idle-${instance}` }));
  }
  return Array.from({ length: tunnels }, (_, tunnel) => distinct[Math.floor(tunnel / tunnelsPerIdentity)]).filter(
    (identity) => identity !== undefined,
  );
}

async function untilNoCircuit({
  router,
}: {
  readonly router: Worker<{ readonly circuits: (nothing: null) => number }>;
}): Promise<void> {
  while ((await router.call("circuits", null)) > 0);
}
