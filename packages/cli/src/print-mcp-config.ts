import { fileURLToPath } from "node:url";
import { listProfiles } from "@sallyport/connector";
import { onlyProfile } from "./profile-choice.ts";
import type { Context } from "./context.ts";
import { clientConfig, clientNames, type ServerCommand } from "./mcp-client.ts";

export interface PrintMcpConfigOptions {
  readonly client: string;
  readonly profile?: string;
  readonly name?: string;
  readonly json?: boolean;
}

/** Folders that a client started by a desktop would not know about. */
const FOLDER_VARIABLES = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/** Prints a client's configuration for one service: on stdout what to paste, on stderr where to. */
export async function printMcpConfig(
  service: string,
  options: PrintMcpConfigOptions,
  { terminal, env }: Context,
): Promise<void> {
  const client = clientNames.find((name) => name === options.client) ?? "claude-desktop";
  const profile = options.profile ?? env["SALLYPORT_PROFILE"] ?? (await onlyProfile());
  if (!(await listProfiles()).includes(profile))
    terminal.note(
      `${terminal.noteColors.yellow("warning:")} this machine has no profile "${profile}" yet; enroll it before the client starts: sallyport enroll --profile ${profile}`,
    );
  const { file, config } = clientConfig(
    client,
    options.name ?? service,
    serverCommand(service, profile, env),
    process.platform,
  );
  if (options.json === true) {
    terminal.printJson({ client, file, config: config.kind === "json" ? config.value : config.line });
    return;
  }
  if (file !== null)
    terminal.note(terminal.noteColors.dim(`Goes into ${file}; merge it with what is there, then restart the client.`));
  terminal.print(config.kind === "json" ? JSON.stringify(config.value, null, 2) : config.line);
}

function serverCommand(service: string, profile: string, env: NodeJS.ProcessEnv): ServerCommand {
  return {
    // The Node that runs this, not a name: a client may have no Node in its PATH.
    command: process.execPath,
    args: [fileURLToPath(new URL("../bin/sallyport.js", import.meta.url)), "mcp", service, "--profile", profile],
    env: Object.fromEntries(FOLDER_VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
  };
}
