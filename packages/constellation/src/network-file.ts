import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import { ConstellationError } from "./constellation-error.ts";

/** TCP ports on 127.0.0.1 of what is private. */
export interface PrivatePorts {
  readonly nats: number;
  readonly ca: number;
  readonly enrollment: number;
  readonly enroll: number;
  readonly policy: number;
  readonly router: number;
  readonly audit: number;
}

/** `network.json`: what a network is, apart from its secrets. */
export interface NetworkFile {
  readonly version: 1;
  /** Random, 16 hexadecimal digits: names the folder of key encryption keys. */
  readonly id: string;
  readonly trustDomain: string;
  readonly keyDir: string;
  /** `host:port` that the router listens on. */
  readonly routerListen: string;
  /** `host:port` under which workloads reach it. */
  readonly publicAddress: string;
  readonly ports: PrivatePorts;
}

const port: z.ZodNumber = z.number().int().min(1).max(65_535);

const address: z.ZodString = z.string().regex(/:\d{1,5}$/);

const schema: z.ZodType<NetworkFile> = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{16}$/),
  trustDomain: z.string(),
  keyDir: z.string(),
  routerListen: address,
  publicAddress: address,
  ports: z.object({ nats: port, ca: port, enrollment: port, enroll: port, policy: port, router: port, audit: port }),
});

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
