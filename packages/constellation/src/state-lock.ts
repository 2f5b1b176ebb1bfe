import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { ConstellationError } from "./constellation-error.ts";

interface Holder {
  readonly pid: number;
  /** Tells a process from a later one with the same pid: field 22 of /proc/<pid>/stat, empty where there is no /proc. */
  readonly startedAt: string;
}

/**
 * One network per state folder: a file that names the process which runs it. A file left by a process that is gone is taken over.
 * @throws ConstellationError STATE_LOCKED
 */
export async function lockState(lockFile: string): Promise<AsyncDisposable> {
  const own: Holder = { pid: process.pid, startedAt: startOf(process.pid) };
  const candidate = `${lockFile}.${process.pid}`;
  await writeFile(candidate, JSON.stringify(own), { mode: 0o600 });
  try {
    while (!(await tryLink(candidate, lockFile))) await removeStale(lockFile);
  } finally {
    await rm(candidate, { force: true });
  }
  return { [Symbol.asyncDispose]: () => rm(lockFile, { force: true }) };
}

/** Whether a network runs on the folder of this lock. */
export async function isStateLocked(lockFile: string): Promise<boolean> {
  const holder = await readHolder(lockFile);
  return holder !== undefined && isAlive(holder);
}

/** `link` makes the lock or fails, also when two start at once. */
async function tryLink(candidate: string, lockFile: string): Promise<boolean> {
  try {
    await link(candidate, lockFile);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function removeStale(lockFile: string): Promise<void> {
  const holder = await readHolder(lockFile);
  if (holder !== undefined && isAlive(holder)) {
    throw new ConstellationError({
      code: "STATE_LOCKED",
      message: `a network is already running on this state folder (process ${holder.pid})`,
      remedy:
        "Use it as it is (`sallyport status`), stop it with Ctrl-C where it runs, or choose another folder with --state.",
    });
  }
  // Renamed first: of two who find the same stale file only one takes it away.
  const stale = `${lockFile}.stale.${process.pid}`;
  await rename(lockFile, stale).catch(() => undefined);
  await rm(stale, { force: true });
}

async function readHolder(lockFile: string): Promise<Holder | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(lockFile, "utf8"));
    if (typeof parsed !== "object" || parsed === null || !("pid" in parsed) || !("startedAt" in parsed))
      return undefined;
    return typeof parsed.pid === "number" && typeof parsed.startedAt === "string"
      ? { pid: parsed.pid, startedAt: parsed.startedAt }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
  }
  return startOf(holder.pid) === holder.startedAt;
}

function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the command in parentheses and may hold spaces: count from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended, and waits for a parent that may never ask.
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
