import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import { ConstellationError } from "./constellation-error.ts";

/** TCP ports on 127.0.0.1 of what is private and there once. */
export interface PrivatePorts {
  readonly nats: number;
  readonly ca: number;
  readonly enrollment: number;
  readonly enroll: number;
  readonly policy: number;
  readonly audit: number;
}

export interface RouterEntry {
  /** "1", "2", …: the name in its SPIFFE ID. */
  readonly name: string;
  /** `host:port` of the public port. Routers with the same one share it by SO_REUSEPORT. */
  readonly listen: string;
  /** `host:port` under which workloads reach it. */
  readonly publicAddress: string;
  /** On 127.0.0.1. */
  readonly grpcPort: number;
  /** On 127.0.0.1, where other routers come in; 0: not chosen yet. */
  readonly linkPort: number;
}

/** `network.json`: what a network is, apart from its secrets. */
export interface NetworkFile {
  readonly version: 2;
  /** Random, 16 hexadecimal digits: names the folder of key encryption keys. */
  readonly id: string;
  readonly trustDomain: string;
  readonly keyDir: string;
  /** Every router that this network ever had, in the order of their names: who runs again keeps its name and its ports. */
  readonly routers: readonly [RouterEntry, ...RouterEntry[]];
  /** How many of them run: the first ones. */
  readonly running: number;
  readonly ports: PrivatePorts;
}

/** The routers that run. */
export function runningRouters({ routers, running }: NetworkFile): readonly [RouterEntry, ...RouterEntry[]] {
  const [first, ...others] = routers;
  return [first, ...others.slice(0, running - 1)];
}

/** Where workloads reach the routers that run, each address once. */
export function publicAddresses(network: NetworkFile): readonly string[] {
  return [...new Set(runningRouters(network).map(({ publicAddress }) => publicAddress))];
}

const port: z.ZodNumber = z.number().int().min(1).max(65_535);
const address: z.ZodString = z.string().regex(/:\d{1,5}$/);
const common = {
  id: z.string().regex(/^[0-9a-f]{16}$/),
  trustDomain: z.string(),
  keyDir: z.string(),
};
const ports = { nats: port, ca: port, enrollment: port, enroll: port, policy: port, audit: port };

const router: z.ZodType<RouterEntry> = z.object({
  name: z.string().regex(/^[1-9]\d{0,2}$/),
  listen: address,
  publicAddress: address,
  grpcPort: port,
  linkPort: z.number().int().min(0).max(65_535),
});

const current: z.ZodType<NetworkFile> = z
  .object({
    version: z.literal(2),
    ...common,
    routers: z.tuple([router], router),
    running: z.number().int().min(1),
    ports: z.object(ports),
  })
  .refine(({ routers, running }) => running <= routers.length, "more routers run than there are");

/** Version 1: one router, and its gRPC port among the others. */
const first: z.ZodType<NetworkFile> = z
  .object({
    version: z.literal(1),
    ...common,
    routerListen: address,
    publicAddress: address,
    ports: z.object({ ...ports, router: port }),
  })
  .transform(({ id, trustDomain, keyDir, routerListen, publicAddress, ports: { router: grpcPort, ...rest } }) => ({
    version: 2,
    id,
    trustDomain,
    keyDir,
    routers: [{ name: "1", listen: routerListen, publicAddress, grpcPort, linkPort: 0 }],
    running: 1,
    ports: rest,
  }));

const schema: z.ZodType<NetworkFile> = z.union([current, first]);

/** @returns undefined where there is none. @throws ConstellationError STATE_INVALID */
export async function readNetworkFile(path: string): Promise<NetworkFile | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ConstellationError({
      code: "STATE_INVALID",
      message: `${path} is damaged, or was made by another version`,
      remedy:
        "Restore it from a backup, use the version that made it, or begin anew: choose another folder with --state, or remove this one when nothing in it is needed.",
      cause,
    });
  }
}

/** Written whole or not at all. */
export async function writeNetworkFile(path: string, network: NetworkFile): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, `${JSON.stringify(network, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}
