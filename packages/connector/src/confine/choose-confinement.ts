import { access, constants, realpath, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { ConnectorError } from "../errors.ts";
import { confinedCommand, ownerOf, type Confinement, type ProcessNetwork } from "./confinement.ts";
import { confinementFolders, type CommandFiles } from "./confinement-folders.ts";
import { createPrivateHome } from "./private-home.ts";
import { runsWell } from "./probe.ts";
import { serviceUid } from "./service-uid.ts";

export interface ConfinementNeeds extends CommandFiles {
  readonly service: string;
  readonly network: ProcessNetwork;
}

/**
 * The strongest confinement that this machine allows and under which the command's files can be read. Each candidate is tried out with a
 * harmless command first. Throws CONFINEMENT_UNAVAILABLE.
 */
export async function chooseConfinement(needs: ConfinementNeeds): Promise<Confinement> {
  const uid = serviceUid(needs.service);
  const candidates: readonly Confinement[] =
    process.platform !== "linux"
      ? []
      : process.getuid?.() === 0
        ? [{ kind: "own-uid", uid }, { kind: "own-uid-only", uid }, { kind: "sealed" }]
        : [{ kind: "user-namespace" }];
  for (const candidate of candidates) {
    if (await isPossible(candidate, needs)) return candidate;
  }
  throw new ConnectorError({
    code: "CONFINEMENT_UNAVAILABLE",
    message: `This machine offers no way to keep ${needs.command} from the connector's key: neither an own uid nor namespaces work here.`,
    remedy:
      "Run as root, allow user namespaces, or say explicitly that the command is trusted like the connector itself.",
  });
}

/** No file below a secret folder can be read, every file of the command can. Paths are parameters, never part of the text. */
const probeScript = String.raw`
cd "$1" && test -x "$2" || exit 1
shift 2
while [ "$1" != -- ]; do
  [ -z "$(find "$1" -type f -readable -print -quit 2>/dev/null)" ] || exit 2
  shift
done
shift
for file; do test -r "$file" || exit 3; done
`;

/** Where `command` is, as the shell would find it. Throws COMMAND_NOT_FOUND. */
export async function findCommand(command: string, path: string, workingFolder: string): Promise<string> {
  const folders = command.includes("/")
    ? [workingFolder]
    : path.split(delimiter).filter((folder) => isAbsolute(folder));
  for (const folder of folders) {
    const candidate = resolve(folder, command);
    if (await isExecutableFile(candidate)) return candidate;
  }
  throw new ConnectorError({
    code: "COMMAND_NOT_FOUND",
    message: `There is no executable "${command}"${command.includes("/") ? "" : ` in ${path}`}.`,
    remedy: "Name it by its absolute path; the confined process does not see the PATH of your shell.",
  });
}

async function isPossible(candidate: Confinement, needs: ConfinementNeeds): Promise<boolean> {
  await using home = await createPrivateHome(needs.service, ownerOf(candidate));
  const folders = await confinementFolders(candidate, home.path, needs);
  const { workingFolder, command, secret } = needs;
  const check = ["/bin/sh", "-c", probeScript, "sallyport-probe", workingFolder, command, ...secret, "--"];
  return await runsWell(confinedCommand(candidate, folders, needs.network, [...check, ...(await filesIn(needs))]));
}

/** Arguments that name something which exists: a script, a folder to serve. */
async function filesIn(needs: ConfinementNeeds): Promise<readonly string[]> {
  const found = await Promise.all(
    needs.args.map(async (argument) => {
      if (argument.startsWith("-") || argument === "") return [];
      const path = isAbsolute(argument) ? argument : join(needs.workingFolder, argument);
      return await realpath(path).then(
        (real) => [real],
        () => [],
      );
    }),
  );
  return [...found.flat(), await realpath(needs.command)];
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
