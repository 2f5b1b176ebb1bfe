import { mountScript } from "./mount-script.ts";

/**
 * How a process that the connector starts is kept from the connector's key, strongest first.
 *
 * - `own-uid`: its own uid and gid, no capabilities, no_new_privs, own PID, mount and IPC namespaces in which the secret folders and the
 *   homes of other processes are covered. Needs root.
 * - `own-uid-only`: the same without namespaces, where the kernel or a container refuses them. File modes (0600, 0700) protect the key.
 * - `sealed`: for a command whose files only root can read. Stays root's uid without capabilities, in namespaces in which everything but
 *   its home and `writable` is read-only, devices and the sockets that exist by then are gone, and the same is covered.
 * - `user-namespace`: for a connector that is not root: the same seal inside a user namespace.
 * - `none`: only an explicit choice leads here.
 */
export type Confinement =
  | { readonly kind: "own-uid"; readonly uid: number }
  | { readonly kind: "own-uid-only"; readonly uid: number }
  | { readonly kind: "sealed" }
  | { readonly kind: "user-namespace" }
  | { readonly kind: "none" };

export interface ConfinementFolders {
  readonly home: string;
  /** Covered: the connector's profiles, keys and spools. */
  readonly secret: readonly string[];
  /** Besides the home, where everything else is read-only. */
  readonly writable: readonly string[];
  /** Made unreachable: sockets of daemons that would take the process for their own user. */
  readonly sockets: readonly string[];
  /** All that is left beside the home in its folder, where other processes have theirs. Null: everything. */
  readonly beside: readonly string[] | null;
}

/** `none`: a network namespace of its own with nothing in it, so that the process can neither listen nor reach anything. */
export type ProcessNetwork = "none" | "host";

const dropPrivileges: readonly string[] = [
  "--no-new-privs",
  "--inh-caps=-all",
  "--ambient-caps=-all",
  "--bounding-set=-all",
  // Set after the change of uid, which clears it: when `unshare` dies, the namespace's first process dies, and all of it.
  "--pdeathsig=KILL",
];

/** The argument vector that starts `command` confined. Every program in it replaces itself by the next. */
export function confinedCommand(
  confinement: Confinement,
  folders: ConfinementFolders,
  network: ProcessNetwork,
  command: readonly string[],
): readonly string[] {
  const ownNetwork = network === "none" ? ["--net"] : [];
  switch (confinement.kind) {
    case "own-uid":
      return [...namespaces([], ownNetwork), ...mounts(folders, false), ...asUid(confinement.uid), ...command];
    case "own-uid-only":
      return [...(network === "none" ? ["unshare", "--net", "--"] : []), ...asUid(confinement.uid), ...command];
    case "sealed":
      return [...namespaces([], ownNetwork), ...mounts(folders, true), "setpriv", ...dropPrivileges, "--", ...command];
    case "user-namespace":
      return [
        ...namespaces(["--user", "--map-root-user"], ownNetwork),
        ...mounts(folders, true),
        "setpriv",
        ...dropPrivileges,
        "--",
        ...command,
      ];
    case "none":
      return [...command];
  }
}

/** The uid that owns the process's files; undefined: the connector's own. */
export function ownerOf(confinement: Confinement): number | undefined {
  return confinement.kind === "own-uid" || confinement.kind === "own-uid-only" ? confinement.uid : undefined;
}

function namespaces(user: readonly string[], network: readonly string[]): readonly string[] {
  const outer = ["setpriv", "--pdeathsig=KILL", "--", "unshare", ...user, "--mount", "--pid", "--ipc", ...network];
  return [...outer, "--fork", "--kill-child=KILL", "--mount-proc", "--"];
}

function mounts(folders: ConfinementFolders, sealed: boolean): readonly string[] {
  const options = ["home", folders.home, "sealed", sealed ? "yes" : "no"];
  const writable = sealed ? folders.writable.flatMap((folder) => ["write", folder]) : [];
  const masks = folders.secret.flatMap((folder) => ["mask", folder]);
  const sockets = folders.sockets.flatMap((path) => ["mute", path]);
  const kept = folders.beside?.flatMap((path) => ["keep", path]);
  const alone = kept === undefined ? [] : ["alone", "begin", ...kept, "alone", sealed ? "read-only" : "writable"];
  const words = [...options, ...writable, ...masks, ...sockets, ...alone];
  return ["/bin/sh", "-c", mountScript, "sallyport-mounts", ...words, "--"];
}

function asUid(uid: number): readonly string[] {
  return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...dropPrivileges, "--"];
}
