import { openBootstrapAuthority, writeBootstrapCredential } from "./bootstrap-credential.ts";
import { ConstellationError } from "./constellation-error.ts";
import { initState } from "./init-state.ts";
import { KeyFiles } from "./key-files.ts";
import { stateLayout } from "./layout.ts";
import { readNetworkFile, writeNetworkFile, type NetworkFile, type RouterEntry } from "./network-file.ts";
import { planRouters, type RouterWishes } from "./plan-routers.ts";
import { isFree, parseHostPort } from "./ports.ts";
import { choosePrivatePorts } from "./private-ports.ts";
import { routerProcess } from "./roles.ts";

export interface OpenStateOptions extends RouterWishes {
  readonly stateDir: string;
  readonly keyDir: string;
  readonly trustDomain?: string;
}

/** The network of a state folder, made when there is none, with ports that can be listened on now. @throws ConstellationError */
export async function openState(options: OpenStateOptions): Promise<NetworkFile> {
  const { stateDir, keyDir, trustDomain = "sallyport.local" } = options;
  const { networkFile } = stateLayout(stateDir);
  const found = await readNetworkFile(networkFile);
  const running = options.routers ?? found?.running ?? 1;
  const routers = await planRouters(found?.routers ?? [], options, running);
  for (const { publicAddress } of routers.slice(0, running)) checkReachable(publicAddress);
  await checkPublicPorts(routers.slice(0, running), found?.routers ?? []);
  if (found === undefined) return await initState({ stateDir, keyDir, trustDomain, routers, running });
  // Private ports may change: only our own processes know them.
  const network: NetworkFile = { ...found, ...(await choosePrivatePorts(found.ports, routers)), running };
  await addCredentials(stateDir, found, network);
  await writeNetworkFile(networkFile, network);
  return network;
}

/** Of routers that were never there: before the file names them, so that it names nobody who could not start. */
async function addCredentials(stateDir: string, found: NetworkFile, network: NetworkFile): Promise<void> {
  const added = network.routers.slice(found.routers.length);
  if (added.length === 0) return;
  const layout = stateLayout(stateDir);
  const keys = new KeyFiles(found.keyDir, found.id);
  const { trustDomain } = network;
  const authority = await openBootstrapAuthority(layout, keys);
  for (const { name } of added)
    await writeBootstrapCredential(routerProcess(name), { layout, keys, trustDomain, authority });
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

async function checkPublicPorts(routers: readonly RouterEntry[], found: readonly RouterEntry[]): Promise<void> {
  for (const listen of new Set(routers.map((router) => router.listen))) {
    if (await isFree(parseHostPort(listen))) continue;
    const isKnown = found.some((router) => router.listen === listen);
    throw new ConstellationError({
      code: "PORT_TAKEN",
      message: `the router cannot listen on ${listen}: in use, not an address of this machine, or not for this user`,
      remedy: isKnown
        ? "Stop the program that has it; the port cannot change, because enrolled workloads know it."
        : "Choose another with --listen, or leave it out for a free one.",
    });
  }
}
