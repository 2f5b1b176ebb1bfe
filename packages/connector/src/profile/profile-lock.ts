/**
 * One renewal at a time per profile, also between processes.
 *
 * Node has no flock(2), so the lock is a file made with O_EXCL that names its holder. A holder that died is noticed by its pid; a holder
 * that hangs, or whose pid another process got, by the file's age. Takeover renames the stale file to a name of our own and looks at
 * what it caught, so that of two that take over at once only one removes the stale lock.
 */
import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { ConnectorError } from "../errors.ts";

const staleAfterMs = 60_000;
const pollMs = 100;

/** Waits for its turn, at most `waitMs`. Throws PROFILE_LOCKED. */
export async function withProfileLock<T>(
  path: string,
  work: () => Promise<T>,
  options: { readonly waitMs?: number; readonly signal?: AbortSignal } = {},
): Promise<T> {
  const token = `${process.pid} ${randomUUID()}`;
  const deadline = Date.now() + (options.waitMs ?? 30_000);
  while (!(await tryLock(path, token))) {
    if (Date.now() > deadline) throw locked(path);
    await delay(pollMs * (0.5 + Math.random()), undefined, { signal: options.signal });
  }
  try {
    return await work();
  } finally {
    if ((await readOrEmpty(path)) === token) await rm(path, { force: true });
  }
}

async function tryLock(path: string, token: string): Promise<boolean> {
  // link(2) makes the name and its content appear together: nobody reads a lock without a holder.
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, token, { flag: "wx", mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    await breakWhenStale(path);
    return false;
  } finally {
    await rm(draft, { force: true });
  }
}

async function breakWhenStale(path: string): Promise<void> {
  const holder = await readOrEmpty(path);
  if (holder === "" || !(await isStale(path, holder))) return;
  const caught = `${path}.${randomUUID()}`;
  try {
    await rename(path, caught);
    // Somebody else was faster and this is a fresh lock: put it back, unless a third one came in between.
    if ((await readOrEmpty(caught)) !== holder) await link(caught, path).catch(() => undefined);
  } catch {
    return;
  } finally {
    await rm(caught, { force: true });
  }
}

async function isStale(path: string, holder: string): Promise<boolean> {
  const age = await stat(path).then(
    (stats) => Date.now() - stats.mtimeMs,
    () => 0,
  );
  return age > staleAfterMs || !isAlive(Number(holder.split(" ")[0]));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function readOrEmpty(path: string): Promise<string> {
  return await readFile(path, "utf8").catch(() => "");
}

function locked(path: string): ConnectorError {
  return new ConnectorError({
    code: "PROFILE_LOCKED",
    message: "Another process holds this profile's renewal lock.",
    remedy: `If no other sallyport process uses the profile, remove ${path}.`,
  });
}
