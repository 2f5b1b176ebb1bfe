import { statSync } from "node:fs";
import { chmod, copyFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Whether only some users may reach this Node: the checkout lies in a closed folder, such as root's home. */
export const isNodeClosed: boolean = isClosed(process.execPath);

/** A Node that every user of the machine may run: this one, or a copy in `folder`. */
export async function openNode(folder: string): Promise<string> {
  if (!isNodeClosed) return process.execPath;
  const copy = join(folder, "node");
  await copyFile(process.execPath, copy);
  await chmod(copy, 0o755);
  return copy;
}

function isClosed(path: string): boolean {
  const reachable = (statSync(path).mode & 0o001) !== 0;
  if (!reachable) return true;
  return path !== dirname(path) && isClosed(dirname(path));
}
