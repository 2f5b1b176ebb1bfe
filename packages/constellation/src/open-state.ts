import { ConstellationError } from "./constellation-error.ts";
import { initState } from "./init-state.ts";
import { stateLayout } from "./layout.ts";
import { readNetworkFile, writeNetworkFile, type NetworkFile, type PrivatePorts } from "./network-file.ts";
import { choosePorts, isFree, parseHostPort } from "./ports.ts";

export interface OpenStateOptions {
  readonly stateDir: string;
  readonly keyDir: string;
  readonly trustDomain?: string;
  readonly routerListen?: string;
  readonly publicAddress?: string;
}

/** The network of a state folder, made when there is none, with ports that can be listened on now. @throws ConstellationError */
export async function openState(options: OpenStateOptions): Promise<NetworkFile> {
  const { stateDir, keyDir, trustDomain = "sallyport.local", routerListen = "127.0.0.1:0", publicAddress } = options;
  const { networkFile } = stateLayout(stateDir);
  const found = await readNetworkFile(networkFile);
  if (found === undefined) {
    checkAddress(routerListen);
    checkReachable(publicAddress ?? routerListen);
    await checkRouterPort(routerListen, "Choose another with --listen, or leave it out for a free one.");
    return await initState({
      stateDir,
      keyDir,
      trustDomain,
      routerListen,
      ...(publicAddress === undefined ? {} : { publicAddress }),
    });
  }
  await checkRouterPort(
    found.routerListen,
    "Stop the program that has it; the port cannot change, because enrolled workloads know it.",
  );
  // Private ports may change: only our own processes know them.
  const network = {
    ...found,
    publicAddress: publicAddress ?? found.publicAddress,
    ports: await freePorts(found.ports),
  };
  checkReachable(network.publicAddress);
  await writeNetworkFile(networkFile, network);
  return network;
}

/** Workloads are told this address. */
function checkReachable(publicAddress: string): void {
  const { host } = parseHostPort(publicAddress);
  if (host !== "0.0.0.0" && host !== "::") return;
  throw new ConstellationError({
    code: "PUBLIC_ADDRESS_MISSING",
    message: `the router listens on every interface (${publicAddress}), which is no address that a workload could dial`,
    remedy: "Say under which name workloads reach it: `sallyport up --public-address <host:port>`.",
  });
}

function checkAddress(listen: string): void {
  const { host, port } = parseHostPort(listen);
  if (host !== "" && /:\d{1,5}$/.test(listen) && port <= 65_535) return;
  throw new ConstellationError({
    code: "ADDRESS_INVALID",
    message: `"${listen}" is not host:port`,
    remedy: "Write an address of this machine and a port, such as 127.0.0.1:8443.",
  });
}

async function checkRouterPort(routerListen: string, remedy: string): Promise<void> {
  if (await isFree(parseHostPort(routerListen))) return;
  throw new ConstellationError({
    code: "PORT_TAKEN",
    message: `the router cannot listen on ${routerListen}: in use, not an address of this machine, or not for this user`,
    remedy,
  });
}

async function freePorts(ports: PrivatePorts): Promise<PrivatePorts> {
  const { nats, ca, enrollment, enroll, policy, router, audit } = ports;
  const wanted = [nats, ca, enrollment, enroll, policy, router, audit];
  const [a = nats, b = ca, c = enrollment, d = enroll, e = policy, f = router, g = audit] = await choosePorts(
    "127.0.0.1",
    wanted,
  );
  return { nats: a, ca: b, enrollment: c, enroll: d, policy: e, router: f, audit: g };
}
