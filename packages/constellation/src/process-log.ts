import { open, readFile, rename, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

const MAX_LOG_BYTES = 16 * 1024 * 1024;
const TAIL_LINES = 12;

/** Opens `<dir>/<name>.log` to append to; a long one of earlier runs is put aside as `.1`. */
export async function openLog(dir: string, name: string): Promise<FileHandle> {
  const path = logFile(dir, name);
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > MAX_LOG_BYTES) await rename(path, `${path}.1`);
  return await open(path, "a", 0o600);
}

export async function logTail(dir: string, name: string): Promise<string> {
  const text = await readFile(logFile(dir, name), "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
}

function logFile(dir: string, name: string): string {
  return join(dir, `${name}.log`);
}
