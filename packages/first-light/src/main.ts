import { readConfig } from "./config.ts";
import { tell } from "./tell.ts";

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ending.abort());

try {
  const config = readConfig(process.argv.slice(2), process.env, Boolean(process.stdout.isTTY));
  const held = await tell(config, (text) => process.stdout.write(text), ending.signal);
  if (!held) process.exitCode = 1;
} catch (error) {
  if (!ending.signal.aborted) {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = 1;
  }
}

/** The message, and what to do about it where the error knows. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "remedy" in error && typeof error.remedy === "string" ? `${error.message}\n${error.remedy}` : error.message;
}
