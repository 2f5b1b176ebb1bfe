import { lstat, mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";

const TMPFS_MAGIC = 0x0102_1994;

export interface PrivateFolder extends AsyncDisposable {
  readonly path: string;
}

/**
 * A folder for this user only, in memory where the machine has /dev/shm, so that what another program must read from a file never reaches a disk.
 * @param name of the folder in /dev/shm; what an earlier run left under it is removed.
 * @param fallback where there is no tmpfs.
 */
export async function privateFolder(name: string, fallback: string): Promise<PrivateFolder> {
  const path = (await isTmpfs("/dev/shm")) ? join("/dev/shm", name) : fallback;
  const found = await lstat(path).catch(() => undefined);
  if (found !== undefined && found.uid !== process.getuid?.()) throw new Error(`${path} belongs to another user`);
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function isTmpfs(path: string): Promise<boolean> {
  const found = await statfs(path).catch(() => undefined);
  return found?.type === TMPFS_MAGIC;
}
