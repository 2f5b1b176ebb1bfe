import { readConfig } from "./config.ts";
import { tell } from "./tell.ts";

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ending.abort());

try {
  const config = readConfig(process.argv.slice(2), process.env);
  const held = await tell(config, (text) => process.stdout.write(text), ending.signal);
  if (!held) process.exitCode = 1;
} catch (error) {
  if (!ending.signal.aborted) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
