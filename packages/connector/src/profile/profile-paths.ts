import { join } from "node:path";
import { isName } from "@sallyport/identity";
import { ConnectorError } from "../errors.ts";

/** The user's base folders (XDG Base Directory Specification), absolute. Never the working folder. */
export interface BaseFolders {
  /** `$XDG_CONFIG_HOME`, default `~/.config`. */
  readonly configHome: string;
  /** `$XDG_DATA_HOME`, default `~/.local/share`: the keys' keys, apart from what they protect. */
  readonly dataHome: string;
  /** `$XDG_STATE_HOME`, default `~/.local/state`: the audit spool. */
  readonly stateHome: string;
}

/** Where one profile lives. */
export interface ProfilePaths {
  readonly name: string;
  readonly folder: string;
  readonly settings: string;
  readonly certificateChain: string;
  readonly privateKey: string;
  /** The key of a renewal that is under way; see profile-store.ts. */
  readonly nextPrivateKey: string;
  readonly bundle: string;
  readonly lock: string;
  /** Key-encryption key: base64 of 32 bytes, mode 0600. */
  readonly kek: string;
  readonly spool: string;
}

export function baseFolders(env: Readonly<Record<string, string | undefined>>, home: string): BaseFolders {
  // The specification: a relative path in these variables is to be ignored.
  const folder = (value: string | undefined, fallback: string): string =>
    value?.startsWith("/") === true ? value : join(home, fallback);
  return {
    configHome: folder(env["XDG_CONFIG_HOME"], ".config"),
    dataHome: folder(env["XDG_DATA_HOME"], ".local/share"),
    stateHome: folder(env["XDG_STATE_HOME"], ".local/state"),
  };
}

/** Throws PROFILE_INVALID when the name is not `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`. */
export function profilePaths(base: BaseFolders, name: string): ProfilePaths {
  if (!isName(name)) {
    throw new ConnectorError({
      code: "PROFILE_INVALID",
      message: `"${name}" cannot name a profile.`,
      remedy: "Use up to 63 lower-case letters, digits and hyphens.",
    });
  }
  const folder = join(profilesFolder(base), name);
  return {
    name,
    folder,
    settings: join(folder, "profile.json"),
    certificateChain: join(folder, "svid.pem"),
    privateKey: join(folder, "private-key.pem"),
    nextPrivateKey: join(folder, "private-key.next.pem"),
    bundle: join(folder, "bundle.pem"),
    lock: join(folder, "renewal.lock"),
    kek: join(base.dataHome, "sallyport", "keys", `${name}.key`),
    spool: join(base.stateHome, "sallyport", "spool", name),
  };
}

export function profilesFolder(base: BaseFolders): string {
  return join(base.configHome, "sallyport", "profiles");
}

/** The folders that a process which the connector starts must not be able to look into. */
export function secretFolders(base: BaseFolders): readonly string[] {
  return [join(base.configHome, "sallyport"), join(base.dataHome, "sallyport"), join(base.stateHome, "sallyport")];
}
