import { homedir } from "node:os";
import { runCli } from "./run-cli.ts";
import { Terminal } from "./terminal.ts";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => stop.abort(new Error(name)));
// The launcher's channel, where there is one: its end is the launcher's.
process.once("disconnect", () => stop.abort(new Error("launcher gone")));
process.channel?.unref();
// Whoever reads our output may stop reading (`| head`); that is an end, not a fault.
process.stdout.on("error", () => stop.abort(new Error("stdout closed")));

const { env, stdin, stdout, stderr } = process;
process.exitCode = await runCli(process.argv.slice(2), {
  terminal: new Terminal({ stdin, stdout, stderr, env }),
  env,
  home: homedir(),
  signal: stop.signal,
});
if (process.connected) process.disconnect();
