import { readFile, realpath } from "node:fs/promises";
import { dirname, relative, resolve, sep } from "node:path";
import type { Confinement, ConfinementFolders } from "./confinement.ts";

/** What a command names that exists: it must still be there for the confined process. */
export interface CommandFiles {
  /** As found in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly workingFolder: string;
  readonly writable: readonly string[];
  readonly secret: readonly string[];
}

/** Which folders a confined process finds covered, open or shown again. */
export async function confinementFolders(
  confinement: Confinement,
  home: string,
  files: CommandFiles,
): Promise<ConfinementFolders> {
  const { secret, writable } = files;
  const isSameUser = confinement.kind === "sealed" || confinement.kind === "user-namespace";
  const sockets = isSameUser ? await boundSockets() : [];
  return { home, secret, writable, sockets, beside: await entriesBeside(home, files) };
}

/** The entries beside `home` that the command has to do with; null when it has to do with the folder itself. */
async function entriesBeside(home: string, files: CommandFiles): Promise<readonly string[] | null> {
  const folder = dirname(home);
  const { command, args, workingFolder, writable } = files;
  const named = [command, workingFolder, ...writable, ...args.map(pathIn)].map((path) => resolve(workingFolder, path));
  const entries = new Set<string>();
  for (const path of named) {
    const real = await realpath(path).catch(() => null);
    for (const existing of real === null ? [] : [path, real]) {
      const [entry = ""] = relative(folder, existing).split(sep);
      if (entry === "") return null;
      if (entry !== "..") entries.add(resolve(folder, entry));
    }
  }
  return [...entries];
}

/** `--name=/path` names a path too. */
function pathIn(argument: string): string {
  return /^-[^=]*=(\/.*)$/.exec(argument)?.[1] ?? argument;
}

/** Paths of the Unix sockets that are bound here just now (proc(5), `/proc/net/unix`), but for those in /run, which is covered as a whole. */
async function boundSockets(): Promise<readonly string[]> {
  const table = await readFile("/proc/net/unix", "latin1").catch(() => "");
  const paths = Array.from(table.matchAll(/ (\/.*)$/gm), ([, path = ""]) => path);
  return [...new Set(paths)].filter((path) => !path.startsWith("/run/"));
}
