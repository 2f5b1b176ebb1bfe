import { ConstellationError } from "./constellation-error.ts";
import type { RouterEntry } from "./network-file.ts";
import { choosePorts, parseHostPort } from "./ports.ts";

export interface RouterWishes {
  /** Default: as many as ran before, at first one. */
  readonly routers?: number;
  /**
   * `host:port` that routers listen on; port 0 takes a free one, for good. One address: all share it. Several: one for each router.
   * A router that was there before keeps its own.
   */
  readonly routerListen?: string | readonly string[];
  /** Where workloads reach the routers, one address for all or one for each. Default: what it was, at first where the router listens. */
  readonly publicAddress?: string | readonly string[];
}

const DEFAULT_LISTEN = "127.0.0.1:0";
const MAX_ROUTERS = 16;

/**
 * The routers that a network has from now on: those that it had, and new ones as wished, with public ports. Private ports of new ones are still 0.
 * @throws ConstellationError ADDRESS_INVALID, ROUTERS_INVALID
 */
export async function planRouters(
  found: readonly RouterEntry[],
  wishes: RouterWishes,
  running: number,
): Promise<readonly [RouterEntry, ...RouterEntry[]]> {
  if (!Number.isInteger(running) || running < 1 || running > MAX_ROUTERS) throw tooMany(running);
  const listens = listOf(wishes.routerListen);
  const addresses = listOf(wishes.publicAddress);
  const routers: RouterEntry[] = [];
  for (let at = 0; at < Math.max(running, found.length); at += 1) {
    const known = found[at];
    const listen = known?.listen ?? (await listenOf(at, listens, routers));
    const publicAddress = (at < running ? choose(addresses, at) : undefined) ?? known?.publicAddress ?? listen;
    const { grpcPort, linkPort } = known ?? { grpcPort: 0, linkPort: 0 };
    routers.push({ name: String(at + 1), listen, publicAddress, grpcPort, linkPort });
  }
  const [first, ...others] = routers;
  if (first === undefined) throw tooMany(running);
  return [first, ...others];
}

/** A router beside others shares their port, unless each of them has its own. */
async function listenOf(at: number, listens: readonly string[], before: readonly RouterEntry[]): Promise<string> {
  const [first] = before;
  const share = first !== undefined && listens.length <= 1 && before.every(({ listen }) => listen === first.listen);
  if (share) return first.listen;
  const wished = choose(listens, at) ?? (first === undefined ? DEFAULT_LISTEN : `${hostOf(first.listen)}:0`);
  checkAddress(wished);
  const { host, port } = parseHostPort(wished);
  if (port !== 0) return wished;
  const [chosen] = await choosePorts(host, [0]);
  return `${hostOf(wished)}:${chosen}`;
}

/** One value is for all. */
function choose(values: readonly string[], at: number): string | undefined {
  return values.length === 1 ? values[0] : values[at];
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}

/** As it is written, brackets included. */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
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

function tooMany(routers: number): ConstellationError {
  return new ConstellationError({
    code: "ROUTERS_INVALID",
    message: `${routers} is not a number of routers that one machine could run`,
    remedy: `Choose 1 to ${MAX_ROUTERS}; more belong on machines of their own.`,
  });
}
