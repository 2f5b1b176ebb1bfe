import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** Name of a spooled file of this block. */
export function blockFileName(number: number, kind: "block" | "journal"): string {
  return `${String(number).padStart(16, "0")}.${kind}`;
}

/** Writes a block so that its file is whole or absent, and durable when this resolves. */
export async function writeBlockFile(folder: string, number: number, bytes: Uint8Array): Promise<string> {
  const path = join(folder, blockFileName(number, "block"));
  const unborn = `${path}.new`;
  try {
    const file = await open(unborn, "w", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unborn, path);
  } catch (error) {
    await rm(unborn, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
  return path;
}

/** Makes a rename in the folder durable (fsync(2), on the directory). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
