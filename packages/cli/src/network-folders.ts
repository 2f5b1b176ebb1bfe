import { stat } from "node:fs/promises";
import type { Context } from "./context.ts";
import { stateFolder } from "./state-folder.ts";

/**
 * The state of a network of this user on this machine, where there is one: the record, policy and the administrator's sealed key. A hosted server
 * that must stay this user could read it by its modes.
 */
export async function networkFolders(context: Pick<Context, "env">): Promise<readonly string[]> {
  const folder = await stateFolder(undefined, context);
  const isThere = await stat(folder).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isThere ? [folder] : [];
}
