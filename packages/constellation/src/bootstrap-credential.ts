import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  derOf,
  generateKeyPair,
  issueLeaf,
  openPrivateKey,
  pemOf,
  sealPrivateKey,
  spkiOf,
  type Issuer,
} from "@sallyport/identity";
import { ConstellationError } from "./constellation-error.ts";
import type { KeyFiles } from "./key-files.ts";
import type { StateLayout } from "./layout.ts";
import { holderId, type HolderName } from "./roles.ts";

export const ROOT_TTL_DAYS = 3_650;
const BOOTSTRAP_TTL_SECONDS = ROOT_TTL_DAYS * 86_400;

/** What signs bootstrap credentials: kept sealed under the CA's key, so that a process can be added years later. */
export interface BootstrapAuthority {
  readonly bootstrapCa: Issuer;
  /** The network's root, by which a process recognizes the CA. */
  readonly root: Buffer;
}

/** @throws ConstellationError KEY_MISSING, STATE_INVALID */
export async function openBootstrapAuthority(layout: StateLayout, keys: KeyFiles): Promise<BootstrapAuthority> {
  const caKey = await keys.read("ca");
  try {
    const [certificate] = derOf(await readFile(layout.bootstrapCaFile, "utf8"));
    const [root] = derOf(await readFile(layout.rootFile, "utf8"));
    if (certificate === undefined || root === undefined) throw new TypeError("a file holds no certificate");
    const privateKey = openPrivateKey(await readFile(layout.bootstrapCaKeyFile, "utf8"), caKey);
    return { bootstrapCa: { certificate, privateKey }, root };
  } catch (cause) {
    throw new ConstellationError({
      code: "STATE_INVALID",
      message: "the bootstrap CA in the state folder cannot be used, so that no process can be added",
      remedy: "Restore the folder `ca` of the state folder, or start with as many routers as before.",
      cause,
    });
  }
}

/** Makes the bootstrap credential of `holder`: a key of its own, sealed under a key encryption key of its own. The certificate is written last. */
export async function writeBootstrapCredential(
  holder: HolderName,
  context: {
    readonly layout: StateLayout;
    readonly keys: KeyFiles;
    readonly trustDomain: string;
    readonly authority: BootstrapAuthority;
  },
): Promise<void> {
  const { layout, keys, trustDomain, authority } = context;
  const dir = layout.bootstrapDir(holder);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const kek = await keys.ensure(holder);
  const { privateKey } = generateKeyPair();
  const leaf = await issueLeaf({
    id: holderId(holder, trustDomain),
    spki: spkiOf(privateKey),
    ttlSeconds: BOOTSTRAP_TTL_SECONDS,
    now: new Date(),
    issuer: authority.bootstrapCa,
  });
  await writePrivate(join(dir, "private-key.pem"), sealPrivateKey(privateKey, kek));
  await writePrivate(join(dir, "roots.pem"), pemOf([authority.root]));
  await writePrivate(join(dir, "certificate.pem"), pemOf([leaf]));
}

export async function writePrivate(path: string, content: string): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
}
