import { open, readFile, rename, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

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

/** What a process said last, for a person: why it failed, where it says so, else the end of its log. */
export async function lastWords(dir: string, name: string): Promise<string> {
  const text = await readFile(logFile(dir, name), "utf8").catch(() => "");
  const tail = text.trimEnd().split("\n").slice(-TAIL_LINES);
  return tail.map(fatalOf).findLast((words) => words !== undefined) ?? tail.join("\n");
}

/** The error of a fatal line (pino's level 60), without its stack. */
function fatalOf(line: string): string | undefined {
  const parsed = fatalLine.safeParse(jsonOf(line));
  if (!parsed.success) return undefined;
  const { message, remedy } = parsed.data.err;
  return remedy === undefined ? message : `${message}; ${remedy}`;
}

const fatalLine: z.ZodType<{ readonly err: { readonly message: string; readonly remedy?: string | undefined } }> =
  z.object({
    level: z.literal(60),
    err: z.object({ message: z.string(), remedy: z.string().optional() }),
  });

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function logFile(dir: string, name: string): string {
  return join(dir, `${name}.log`);
}
