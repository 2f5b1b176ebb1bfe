import { mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSvid, workloadId } from "@sallyport/identity";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { baseFolders, profilePaths, type BaseFolders } from "./profile-paths.ts";
import { listProfiles, loadProfile, prepareKey, saveProfile } from "./profile-store.ts";
import type { Profile } from "./profile.ts";

let root: string;
let folders: BaseFolders;
let authority: TestAuthority;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "profile-test-"));
  folders = baseFolders({}, root);
  authority = await createTestAuthority();
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function profile(name = "agent"): Promise<Profile> {
  const svid = await authority.issue(workloadId(authority.trustDomain, name, "1"));
  const paths = profilePaths(folders, name);
  return { name, folders, paths, routers: ["router.example:443"], generation: 3, svid, bundle: authority.bundle };
}

test("a profile comes back as it was saved, and is listed", async () => {
  const saved = await profile();
  await saveProfile(saved);
  const loaded = await loadProfile("agent", folders);
  expect(loaded).toMatchObject({ name: "agent", routers: ["router.example:443"], generation: 3 });
  expect(loaded.svid.serial).toBe(saved.svid.serial);
  expect(await listProfiles(folders)).toStrictEqual(["agent"]);
});

test("an enrollment that was refused leaves no profile to choose", async () => {
  await prepareKey(profilePaths(folders, "refused"));
  expect(await listProfiles(folders)).toStrictEqual([]);
});

test("the private key at rest is sealed, its key lies apart, and both are for their owner only", async () => {
  const saved = await profile();
  await saveProfile(saved);
  expect(await readFile(saved.paths.privateKey, "utf8")).toContain("BEGIN ENCRYPTED PRIVATE KEY");
  expect(saved.paths.kek.startsWith(folders.configHome)).toBe(false);
  for (const path of [saved.paths.privateKey, saved.paths.kek]) expect((await stat(path)).mode & 0o077).toBe(0);
  await rm(saved.paths.kek);
  await expect(loadProfile("agent", folders)).rejects.toMatchObject({ code: "PROFILE_INVALID" });
});

test("folders named relatively are ignored, as XDG says", () => {
  expect(baseFolders({ XDG_CONFIG_HOME: "config", XDG_DATA_HOME: "/data" }, "/home/u")).toStrictEqual({
    configHome: "/home/u/.config",
    dataHome: "/data",
    stateHome: "/home/u/.local/state",
  });
});

test("a name that would leave the folder is no name", async () => {
  await expect(loadProfile("../../etc", folders)).rejects.toMatchObject({ code: "PROFILE_INVALID" });
  await expect(loadProfile("nobody", folders)).rejects.toMatchObject({ code: "PROFILE_UNKNOWN" });
});

describe("a crash during a renewal loses neither identity", () => {
  test("before the answer: the old one loads, and the next attempt asks with the same key", async () => {
    const saved = await profile();
    await saveProfile(saved);
    const key = await prepareKey(saved.paths);
    expect((await loadProfile("agent", folders)).svid.serial).toBe(saved.svid.serial);
    expect((await prepareKey(saved.paths)).equals(key)).toBe(true);
  });

  test("between the new certificate and the new key: the new one loads", async () => {
    const old = await profile();
    await saveProfile(old);
    const renewed = await authority.issue(old.svid.identity.id);
    await saveProfile({ ...old, svid: renewed });
    // As if the last rename had not happened: the new key still has its next name, the old one its own.
    await rename(old.paths.privateKey, old.paths.nextPrivateKey);
    expect((await loadProfile("agent", folders)).svid.serial).toBe(renewed.serial);
  });
});

test("a certificate that is not the key's is refused", async () => {
  const { certificateChain } = (await profile()).svid;
  const { privateKey } = (await profile()).svid;
  expect(() => createSvid(certificateChain, privateKey)).toThrow();
});
