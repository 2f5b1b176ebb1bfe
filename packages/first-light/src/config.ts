import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FirstLightError } from "./first-light-error.ts";

export interface Config {
  /** End after the story instead of staying up. */
  readonly once: boolean;
  /** One JSON object per step instead of a transcript. */
  readonly json: boolean;
  readonly colour: boolean;
  readonly stateDir: string;
  readonly keyDir: string;
  readonly profilesFolder: string;
  readonly launcher: string;
  readonly policyFolder: string;
  readonly sharedFolder: string;
  /** Environment of every process that the story starts: what a desktop client would hand on, no more. */
  readonly commandEnv: Readonly<Record<string, string>>;
}

const checkout = join(import.meta.dirname, "../../..");
const story = join(import.meta.dirname, "..");
const handedOn = ["HOME", "PATH", "LANG", "TZ", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/** `npm start [-- --once] [--json] [--state <folder>]`. Throws USAGE. */
export function readConfig(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Config {
  const { once, json, state } = readOptions(args);
  const home = env["HOME"] ?? homedir();
  const stateDir = state ?? join(checkout, ".sallyport");
  return {
    once,
    json,
    colour: env["NO_COLOR"] === undefined && !json,
    stateDir,
    keyDir: join(env["XDG_DATA_HOME"] ?? join(home, ".local/share"), "sallyport/keys"),
    profilesFolder: join(env["XDG_CONFIG_HOME"] ?? join(home, ".config"), "sallyport/profiles"),
    launcher: join(checkout, "packages/cli/bin/sallyport.js"),
    policyFolder: join(story, "policy"),
    sharedFolder: join(story, "folder"),
    commandEnv: Object.fromEntries(handedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
  };
}

function readOptions(args: readonly string[]): { once: boolean; json: boolean; state: string | undefined } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { once: { type: "boolean" }, json: { type: "boolean" }, state: { type: "string" } },
    });
    return { once: values.once ?? false, json: values.json ?? false, state: values.state };
  } catch (cause) {
    throw new FirstLightError(
      "USAGE",
      `${cause instanceof Error ? cause.message : String(cause)}\nUsage: npm start [-- [--once] [--json] [--state <folder>]]`,
      { cause },
    );
  }
}
