import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { addAbortSignal, Writable } from "node:stream";
import { CliError } from "./cli-error.ts";
import type { Context } from "./context.ts";

/** A token is about 300 characters; whatever is longer is not one. */
const MAX_TOKEN_BYTES = 4_096;

/** An enrollment token from a file, from SALLYPORT_TOKEN, or from standard input. Never from the command line, which every user can read. */
export async function readToken(file: string | undefined, context: Context): Promise<string> {
  const text = (await tokenText(file, context)).trim();
  if (text !== "") return text;
  throw new CliError({
    code: "TOKEN_MISSING",
    message: "there is no enrollment token",
    remedy:
      "Pipe it in (`sallyport token create <workload> | sallyport enroll`), name a file with --token-file, or set SALLYPORT_TOKEN.",
  });
}

async function tokenText(file: string | undefined, { env, terminal, signal }: Context): Promise<string> {
  if (file !== undefined && file !== "-") return await readTokenFile(file);
  const fromEnv = env["SALLYPORT_TOKEN"];
  if (file === undefined && fromEnv !== undefined) return fromEnv;
  if (terminal.stdin.isTTY === true) return await askForToken(terminal, signal);
  let text = "";
  for await (const chunk of addAbortSignal(signal, terminal.stdin)) {
    text += String(chunk);
    if (text.length > MAX_TOKEN_BYTES) break;
  }
  return text;
}

async function readTokenFile(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CliError({
      code: "TOKEN_FILE_UNREADABLE",
      message: `the token file ${file} cannot be read`,
      remedy: "Check the path and who may read it.",
      cause,
    });
  }
}

/** Asks a person, without showing what is typed. */
async function askForToken(terminal: Context["terminal"], signal: AbortSignal): Promise<string> {
  terminal.note("Paste the enrollment token, then Enter (it is not shown):");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: terminal.stdin, output: silent, terminal: true, signal });
  // Raw mode turns Ctrl-C into a key.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    for await (const line of lines) return line;
    signal.throwIfAborted();
    return "";
  } finally {
    lines.close();
  }
}
