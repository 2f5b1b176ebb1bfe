import { readConfig } from "./config.ts";
import { tell } from "./tell.ts";

const exitStatus = { held: 0, failed: 1, interrupted: 130 } as const;
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ending.abort());

try {
  const config = readConfig(process.argv.slice(2), process.env, Boolean(process.stdout.isTTY));
  const end = await tell(config, (text) => process.stdout.write(text), ending.signal);
  process.exitCode = exitStatus[end];
} catch (error) {
  if (ending.signal.aborted) {
    process.exitCode = exitStatus.interrupted;
  } else {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = exitStatus.failed;
  }
}

/** The message, and what to do about it where the error knows. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "remedy" in error && typeof error.remedy === "string" ? `${error.message}\n${error.remedy}` : error.message;
}
