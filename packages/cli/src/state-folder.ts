import { isAbsolute, join, resolve } from "node:path";
import { checkoutDir, currentStateDir } from "@sallyport/constellation";
import type { Context } from "./context.ts";

/** The option that commands of the administrator share. */

/** Which network is meant: `--state`, SALLYPORT_STATE, the one that this user started last and that still runs, the checkout's own. */
export async function stateFolder(option: string | undefined, { env }: Pick<Context, "env">): Promise<string> {
  const named = option ?? env["SALLYPORT_STATE"];
  if (named !== undefined && named !== "") return resolve(named);
  return (await currentStateDir(env)) ?? defaultStateFolder();
}

export function defaultStateFolder(): string {
  return join(checkoutDir, ".sallyport");
}

/** Where key encryption keys of new networks go (XDG Base Directory Specification). */
export function keyFolder({ env, home }: Pick<Context, "env" | "home">): string {
  const dataHome = env["XDG_DATA_HOME"];
  return join(dataHome !== undefined && isAbsolute(dataHome) ? dataHome : join(home, ".local/share"), "sallyport/keys");
}
