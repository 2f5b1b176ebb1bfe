import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { compileCacheFolder } from "./compile-cache.ts";
import { stopSignal } from "./stop-signal.ts";

const stop = stopSignal();
// Before anything large is imported: an MCP client waits for every start of `sallyport mcp`.
enableCompileCache(compileCacheFolder(process.env, homedir()));
const [{ runCli }, { Terminal }] = await Promise.all([import("./run-cli.ts"), import("./terminal.ts")]);

// The launcher's channel, where there is one: its end is the launcher's.
process.once("disconnect", () => stop.abort(new Error("launcher gone")));
process.channel?.unref();
// Whoever reads our output may stop reading (`| head`); that is an end, not a fault.
process.stdout.on("error", () => stop.abort(new Error("stdout closed")));

const { env, stdin, stdout, stderr } = process;
// What is waited for may hold nothing itself; the process lives until the command is done.
const alive = setInterval(() => undefined, 2 ** 30);
process.exitCode = await runCli(process.argv.slice(2), {
  terminal: new Terminal({ stdin, stdout, stderr, env }),
  env,
  home: homedir(),
  signal: stop.signal,
});
clearInterval(alive);
if (process.connected) process.disconnect();
