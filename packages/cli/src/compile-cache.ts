import { isAbsolute, join } from "node:path";

/** Where Node keeps compiled code of this command: the user's own cache (XDG Base Directory Specification), not a folder that others can write to. */
export function compileCacheFolder(env: NodeJS.ProcessEnv, home: string): string {
  const cacheHome = env["XDG_CACHE_HOME"];
  return join(cacheHome !== undefined && isAbsolute(cacheHome) ? cacheHome : join(home, ".cache"), "sallyport/compile");
}
