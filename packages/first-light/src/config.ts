import { homedir } from "node:os";
import { join, resolve } from "node:path";
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

/** `npm start [-- --once --json --state <folder> --policy <folder>]`. Throws USAGE. @param isTerminal whether a person looks at the output */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): Config {
  const { once = false, json = false, state, policy } = readOptions(args);
  const home = env["HOME"] ?? homedir();
  return {
    once,
    json,
    colour: isTerminal && env["NO_COLOR"] === undefined && env["TERM"] !== "dumb",
    stateDir: resolve(state ?? join(checkout, ".sallyport")),
    keyDir: join(env["XDG_DATA_HOME"] ?? join(home, ".local/share"), "sallyport/keys"),
    profilesFolder: join(env["XDG_CONFIG_HOME"] ?? join(home, ".config"), "sallyport/profiles"),
    launcher: join(checkout, "packages/cli/bin/sallyport.js"),
    policyFolder: resolve(policy ?? join(story, "policy")),
    sharedFolder: join(story, "folder"),
    commandEnv: Object.fromEntries(handedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
  };
}

interface Options {
  readonly once?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly state?: string | undefined;
  readonly policy?: string | undefined;
}

const usage = `Usage: npm start [-- <options>]
  --once             end after the story
  --json             one JSON object per step
  --state <folder>   where the network keeps its state; default .sallyport in the checkout
  --policy <folder>  the policy to try the story with; default packages/first-light/policy`;

function readOptions(args: readonly string[]): Options {
  try {
    const options = {
      once: { type: "boolean" },
      json: { type: "boolean" },
      state: { type: "string" },
      policy: { type: "string" },
    } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new FirstLightError("USAGE", `${cause instanceof Error ? cause.message : String(cause)}\n${usage}`, {
      cause,
    });
  }
}
