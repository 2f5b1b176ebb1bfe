import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createIntermediate, createRoot, pemOf, sealPrivateKey, type Issuer } from "@sallyport/identity";
import { ROOT_TTL_DAYS, writeBootstrapCredential, writePrivate } from "./bootstrap-credential.ts";
import { KeyFiles } from "./key-files.ts";
import { stateLayout, type StateLayout } from "./layout.ts";
import { writeNetworkFile, type NetworkFile } from "./network-file.ts";
import { choosePrivatePorts } from "./private-ports.ts";
import { routerProcess, serviceNames, type HolderName } from "./roles.ts";

const INTERMEDIATE_TTL_DAYS = 1_825;

export interface InitOptions {
  readonly stateDir: string;
  readonly keyDir: string;
  readonly trustDomain: string;
  /** As planned: with public ports. */
  readonly routers: NetworkFile["routers"];
  /** How many of them run at first. */
  readonly running: number;
}

/**
 * Makes a new network in a state folder that has none: root, signing intermediate, a separate bootstrap CA, a bootstrap credential for each of
 * our own processes, and ports. Every private key is sealed. `network.json` is written last: a folder without it holds no network.
 */
export async function initState(options: InitOptions): Promise<NetworkFile> {
  const { stateDir, keyDir, trustDomain, running } = options;
  const layout = stateLayout(stateDir);
  const id = randomBytes(8).toString("hex");
  const keys = new KeyFiles(keyDir, id);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await Promise.all(
    [layout.logDir, layout.compileCacheDir, layout.natsStoreDir].map((dir) =>
      mkdir(dir, { recursive: true, mode: 0o700 }),
    ),
  );

  const now = new Date();
  const root = await createRoot({ trustDomain, ttlDays: ROOT_TTL_DAYS, now });
  const intermediate = await createIntermediate({ trustDomain, ttlDays: INTERMEDIATE_TTL_DAYS, now, issuer: root });
  const bootstrapCa = await createRoot({
    trustDomain,
    commonName: `${trustDomain} bootstrap`,
    ttlDays: ROOT_TTL_DAYS,
    now,
    pathLength: 0,
  });
  const authority = { bootstrapCa, root: root.certificate };
  const holders: readonly HolderName[] = [
    ...serviceNames.filter((name) => name !== "router"),
    ...options.routers.map(({ name }) => routerProcess(name)),
    "nats",
    "admin",
  ];
  for (const holder of holders) await writeBootstrapCredential(holder, { layout, keys, trustDomain, authority });
  await writeAuthority(layout, {
    root,
    intermediate,
    bootstrapCa,
    caKey: await keys.read("ca"),
    rootKey: await keys.create("root"),
  });

  const network: NetworkFile = {
    version: 2,
    id,
    trustDomain,
    keyDir,
    running,
    ...(await choosePrivatePorts(undefined, options.routers)),
  };
  await writeNetworkFile(layout.networkFile, network);
  return network;
}

async function writeAuthority(
  layout: StateLayout,
  input: {
    readonly root: Issuer;
    readonly intermediate: Issuer;
    readonly bootstrapCa: Issuer;
    readonly caKey: Buffer;
    readonly rootKey: Buffer;
  },
): Promise<void> {
  const { root, intermediate, bootstrapCa, caKey, rootKey } = input;
  const dir = layout.processDir("ca");
  await writePrivate(layout.rootFile, pemOf([root.certificate]));
  await writePrivate(layout.rootKeyFile, sealPrivateKey(root.privateKey, rootKey));
  await writePrivate(join(dir, "intermediate.pem"), pemOf([intermediate.certificate]));
  await writePrivate(join(dir, "intermediate-key.pem"), sealPrivateKey(intermediate.privateKey, caKey));
  await writePrivate(layout.bootstrapCaFile, pemOf([bootstrapCa.certificate]));
  await writePrivate(layout.bootstrapCaKeyFile, sealPrivateKey(bootstrapCa.privateKey, caKey));
}
