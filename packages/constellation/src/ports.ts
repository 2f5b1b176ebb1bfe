import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { ConstellationError } from "./constellation-error.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export function parseHostPort(value: string): HostPort {
  const at = value.lastIndexOf(":");
  return { host: value.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(value.slice(at + 1)) };
}

/** Below it no kernel takes ports for outgoing connections by default; services below 20,000 are often somebody's. */
const FIRST_PORT = 20_000;
const DEFAULT_EPHEMERAL_START = 32_768;
const MAX_TRIES = 64;

/**
 * Ports that are free now: each of `wanted` if it can be had, for 0 or a taken one another.
 * Chosen below the range of outgoing connections, since a port that is kept for years must not be lent to somebody's connection meanwhile.
 * All are held until the last was chosen, so that no two are the same.
 */
export async function choosePorts(host: string, wanted: readonly number[]): Promise<readonly number[]> {
  await using held = new AsyncDisposableStack();
  const ports: number[] = [];
  for (const port of wanted) {
    const hold = (port === 0 ? undefined : await holdPort(host, port)) ?? (await holdAnyPort(host));
    held.use(hold);
    ports.push(hold.port);
  }
  return ports;
}

type Hold = AsyncDisposable & { readonly port: number };

async function holdAnyPort(host: string): Promise<Hold> {
  const end = await ephemeralStart();
  for (let tries = 0; tries < MAX_TRIES && end > FIRST_PORT; tries += 1) {
    const hold = await holdPort(host, randomInt(FIRST_PORT, end));
    if (hold !== undefined) return hold;
  }
  const any = await holdPort(host, 0);
  if (any !== undefined) return any;
  throw new ConstellationError({
    code: "PORT_TAKEN",
    message: `there is no free port on ${host}`,
    remedy: "Check that the address belongs to this machine.",
  });
}

async function ephemeralStart(): Promise<number> {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").catch(() => "");
  const start = Number(range.split(/\s/)[0]);
  return start > 0 ? start : DEFAULT_EPHEMERAL_START;
}

export async function isFree(address: HostPort): Promise<boolean> {
  const hold = await holdPort(address.host, address.port);
  await hold?.[Symbol.asyncDispose]();
  return hold !== undefined;
}

async function holdPort(host: string, port: number): Promise<Hold | undefined> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, host, () => resolve(true));
  });
  const address = server.address();
  if (!listening || address === null || typeof address === "string") return undefined;
  return { port: address.port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}
