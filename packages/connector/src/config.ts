import { homedir } from "node:os";
import { baseFolders, type BaseFolders } from "./profile/profile-paths.ts";

/** The base folders of the user who runs this process. */
export function userFolders(): BaseFolders {
  return baseFolders(process.env, homedir());
}
