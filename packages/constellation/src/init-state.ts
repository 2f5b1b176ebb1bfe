import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  createIntermediate,
  createRoot,
  generateKeyPair,
  issueLeaf,
  pemOf,
  sealPrivateKey,
  spkiOf,
  type Issuer,
} from "@sallyport/identity";
import { KeyFiles } from "./key-files.ts";
import { stateLayout, type StateLayout } from "./layout.ts";
import { writeNetworkFile, type NetworkFile } from "./network-file.ts";
import { choosePorts, parseHostPort } from "./ports.ts";
import { holderId, holderNames, type HolderName } from "./roles.ts";

const ROOT_TTL_DAYS = 3_650;
const INTERMEDIATE_TTL_DAYS = 1_825;
const BOOTSTRAP_TTL_SECONDS = ROOT_TTL_DAYS * 86_400;

export interface InitOptions {
  readonly stateDir: string;
  readonly keyDir: string;
  readonly trustDomain: string;
  /** `host:port`; port 0 takes any free one, for good. */
  readonly routerListen: string;
  /** Where workloads reach the router. Default: `routerListen`. */
  readonly publicAddress?: string;
}

/**
 * Makes a new network in a state folder that has none: root, signing intermediate, a separate bootstrap CA, a bootstrap credential for each of
 * our own processes, and ports. Every private key is sealed. `network.json` is written last: a folder without it holds no network.
 */
export async function initState(options: InitOptions): Promise<NetworkFile> {
  const { stateDir, keyDir, trustDomain } = options;
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
  const sealingKeys = new Map<HolderName, Buffer>();
  for (const holder of holderNames) {
    const kek = await keys.create(holder);
    sealingKeys.set(holder, kek);
    await mkdir(layout.bootstrapDir(holder), { recursive: true, mode: 0o700 });
    await writeCredential(layout, holder, { trustDomain, bootstrapCa, root, kek, now });
  }
  const caKey = sealingKeys.get("ca") ?? (await keys.read("ca"));
  await writeAuthority(layout, { root, intermediate, bootstrapCa, caKey, rootKey: await keys.create("root") });

  const routerListen = await chooseRouterListen(options.routerListen);
  const network: NetworkFile = {
    version: 1,
    id,
    trustDomain,
    keyDir,
    routerListen,
    publicAddress: options.publicAddress ?? routerListen,
    ports: await choosePrivatePorts(),
  };
  await writeNetworkFile(layout.networkFile, network);
  return network;
}

async function writeCredential(
  layout: StateLayout,
  holder: HolderName,
  input: {
    readonly trustDomain: string;
    readonly bootstrapCa: Issuer;
    readonly root: Issuer;
    readonly kek: Buffer;
    readonly now: Date;
  },
): Promise<void> {
  const { privateKey } = generateKeyPair();
  const leaf = await issueLeaf({
    id: holderId(holder, input.trustDomain),
    spki: spkiOf(privateKey),
    ttlSeconds: BOOTSTRAP_TTL_SECONDS,
    now: input.now,
    issuer: input.bootstrapCa,
  });
  const dir = layout.bootstrapDir(holder);
  await writePrivate(join(dir, "certificate.pem"), pemOf([leaf]));
  await writePrivate(join(dir, "private-key.pem"), sealPrivateKey(privateKey, input.kek));
  await writePrivate(join(dir, "roots.pem"), pemOf([input.root.certificate]));
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
  await writePrivate(join(dir, "root.pem"), pemOf([root.certificate]));
  await writePrivate(layout.rootKeyFile, sealPrivateKey(root.privateKey, rootKey));
  await writePrivate(join(dir, "intermediate.pem"), pemOf([intermediate.certificate]));
  await writePrivate(join(dir, "intermediate-key.pem"), sealPrivateKey(intermediate.privateKey, caKey));
  await writePrivate(layout.bootstrapCaFile, pemOf([bootstrapCa.certificate]));
  await writePrivate(layout.bootstrapCaKeyFile, sealPrivateKey(bootstrapCa.privateKey, caKey));
}

async function writePrivate(path: string, content: string): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
}

async function chooseRouterListen(wanted: string): Promise<string> {
  const { host, port } = parseHostPort(wanted);
  if (port !== 0) return wanted;
  const [chosen] = await choosePorts(host, [0]);
  return `${host}:${chosen}`;
}

async function choosePrivatePorts(): Promise<NetworkFile["ports"]> {
  const [nats = 0, ca = 0, enrollment = 0, enroll = 0, policy = 0, router = 0, audit = 0] = await choosePorts(
    "127.0.0.1",
    [0, 0, 0, 0, 0, 0, 0],
  );
  return { nats, ca, enrollment, enroll, policy, router, audit };
}
