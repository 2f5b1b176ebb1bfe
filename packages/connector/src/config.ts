import { homedir } from "node:os";
import { baseFolders, type BaseFolders } from "./profile/profile-paths.ts";
import { chooseProxy, type ChooseProxy } from "./proxy/choose-proxy.ts";

/** The base folders of the user who runs this process. */
export function userFolders(): BaseFolders {
  return baseFolders(process.env, homedir());
}

/** @param told as in ConnectorOptions. Throws PROXY_INVALID. */
export function proxyOf(told: string | null | undefined): ChooseProxy {
  return chooseProxy(told, process.env);
}
