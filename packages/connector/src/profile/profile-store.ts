/**
 * The four files of a profile and the key beside them.
 *
 * 1. A new private key is on disk (`private-key.next.pem`) before its certificate is asked for, so that a certificate whose answer was
 *    lost can be asked for again with the same key.
 * 2. The certificate is renamed into place first, the key after it. A reader between the two finds the certificate's key under the
 *    next name; whoever crashed between the two is finished by the next reader's fallback and the next writer.
 * 3. The key-encryption key lives under the data folder, not beside the profile.
 */
import { randomBytes, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import {
  createSvid,
  derOf,
  generateKeyPair,
  isName,
  openPrivateKey,
  pemOf,
  sealPrivateKey,
  trustBundle,
  type Svid,
} from "@sallyport/identity";
import { userFolders } from "../config.ts";
import { ConnectorError } from "../errors.ts";
import { syncFolder, writeFileAtomically } from "./atomic-file.ts";
import { profilePaths, profilesFolder, type BaseFolders, type ProfilePaths } from "./profile-paths.ts";
import { parseSettings, type ProfileSettings } from "./profile-settings.ts";
import type { Profile } from "./profile.ts";

/** Throws PROFILE_UNKNOWN when there is none of that name, PROFILE_INVALID when its files do not fit together. */
export async function loadProfile(name: string, folders: BaseFolders = userFolders()): Promise<Profile> {
  const paths = profilePaths(folders, name);
  const settings = parseSettings(await readSettings(paths), paths.settings);
  try {
    const kek = await readKek(paths);
    const svid = await readSvid(paths, kek);
    const roots = derOf(await readFile(paths.bundle, "utf8"));
    const bundle = trustBundle({ trustDomain: settings.trustDomain, roots, sequence: settings.bundleSequence });
    return { name, folders, paths, routers: settings.routers, generation: settings.generation, svid, bundle };
  } catch (cause) {
    throw new ConnectorError({
      code: "PROFILE_INVALID",
      message: `The profile "${name}" in ${paths.folder} cannot be opened.`,
      remedy:
        "Enroll again with a new token; a profile does not open under another user or a restored copy without its key.",
      cause,
    });
  }
}

/** Names in order; empty when nobody enrolled yet. */
export async function listProfiles(folders: BaseFolders = userFolders()): Promise<readonly string[]> {
  try {
    const names = (await readdir(profilesFolder(folders))).filter(isName).toSorted();
    // A refused enrollment leaves a folder without settings: no identity.
    return names.filter((name) => existsSync(profilePaths(folders, name).settings));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Makes `profile` the one on disk. Its key must be the one of `prepareKey`, or already there. */
export async function saveProfile(profile: Profile): Promise<void> {
  const { paths, svid, bundle } = profile;
  const settings: ProfileSettings = {
    version: 1,
    spiffeId: svid.identity.id.uri,
    trustDomain: bundle.trustDomain,
    bundleSequence: bundle.sequence,
    routers: profile.routers,
    generation: profile.generation,
  };
  await writeFileAtomically(paths.nextPrivateKey, sealPrivateKey(svid.privateKey, await ensureKek(paths)));
  await writeFileAtomically(paths.certificateChain, pemOf(svid.certificateChain));
  await writeFileAtomically(paths.bundle, pemOf(bundle.roots));
  await writeFileAtomically(paths.settings, `${JSON.stringify(settings, null, 2)}\n`);
  await rename(paths.nextPrivateKey, paths.privateKey);
  await syncFolder(paths.folder);
}

/** The key to ask a certificate for: the one of an attempt whose answer was lost, else a fresh one, on disk before this returns. */
export async function prepareKey(paths: ProfilePaths): Promise<KeyObject> {
  const kek = await ensureKek(paths);
  try {
    return openPrivateKey(await readFile(paths.nextPrivateKey, "utf8"), kek);
  } catch {
    const { privateKey } = generateKeyPair();
    await writeFileAtomically(paths.nextPrivateKey, sealPrivateKey(privateKey, kek));
    return privateKey;
  }
}

/** Gives up the prepared key: the answer was a refusal, so nobody certified it. */
export async function discardKey(paths: ProfilePaths): Promise<void> {
  await rm(paths.nextPrivateKey, { force: true });
}

async function readSettings(paths: ProfilePaths): Promise<string> {
  try {
    return await readFile(paths.settings, "utf8");
  } catch (cause) {
    throw new ConnectorError({
      code: "PROFILE_UNKNOWN",
      message: `There is no profile "${paths.name}" in ${paths.folder}.`,
      remedy: "Enroll first (`sallyport enroll`), or name another profile.",
      cause,
    });
  }
}

async function readSvid(paths: ProfilePaths, kek: Buffer): Promise<Svid> {
  const chain = derOf(await readFile(paths.certificateChain, "utf8"));
  try {
    return createSvid(chain, openPrivateKey(await readFile(paths.privateKey, "utf8"), kek));
  } catch (mismatch) {
    const next = await readFile(paths.nextPrivateKey, "utf8").catch(() => undefined);
    if (next === undefined) throw mismatch;
    return createSvid(chain, openPrivateKey(next, kek));
  }
}

async function readKek(paths: ProfilePaths): Promise<Buffer> {
  return Buffer.from(await readFile(paths.kek, "utf8"), "base64");
}

async function ensureKek(paths: ProfilePaths): Promise<Buffer> {
  try {
    return await readKek(paths);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await writeFileAtomically(paths.kek, `${randomBytes(32).toString("base64")}\n`);
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
  return await readKek(paths);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
