import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { stateLayout } from "./layout.ts";
import { isStateLocked } from "./state-lock.ts";

/**
 * Remembers, for commands in other terminals, which state folder this user's last network runs on.
 * @returns forgets it, unless another network has started since.
 */
export async function rememberCurrent(env: NodeJS.ProcessEnv, stateDir: string): Promise<AsyncDisposable> {
  const file = currentFile(env);
  if (file === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const own = resolve(stateDir);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, `${own}\n`, { mode: 0o600 });
  await rename(temporary, file);
  return {
    [Symbol.asyncDispose]: async () => {
      if ((await readCurrent(file)) === own) await rm(file, { force: true });
    },
  };
}

/** The state folder of this user's last network, if that still runs. */
export async function currentStateDir(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const file = currentFile(env);
  const stateDir = file === undefined ? undefined : await readCurrent(file);
  if (stateDir === undefined || stateDir === "") return undefined;
  return (await isStateLocked(stateLayout(stateDir).lockFile)) ? stateDir : undefined;
}

async function readCurrent(file: string): Promise<string | undefined> {
  return await readFile(file, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

/** In `$XDG_STATE_HOME` (XDG Base Directory Specification; a relative value is to be ignored). */
function currentFile(env: NodeJS.ProcessEnv): string | undefined {
  const stateHome = env["XDG_STATE_HOME"];
  if (stateHome !== undefined && isAbsolute(stateHome)) return join(stateHome, "sallyport/current-network");
  const home = env["HOME"];
  return home === undefined ? undefined : join(home, ".local/state/sallyport/current-network");
}
