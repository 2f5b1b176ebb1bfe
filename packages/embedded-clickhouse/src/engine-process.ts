/** Entry of the process that owns the engine. It lives as long as its owner's IPC channel, at most. */
import { chmod, mkdir, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { once } from "node:events";
import { type EngineReport, type StartCommand, parseCommand } from "./engine-messages.ts";

const DRAIN_MS = 10_000;

const stop = new AbortController();
process.once("disconnect", () => stop.abort());
// A terminal's Ctrl-C reaches the whole process group; the owner decides when the engine ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("message", (message) => {
  const command = parseCommand(message);
  if (command?.kind === "stop") stop.abort();
  if (command?.kind === "start") void run(command);
});

async function run(command: StartCommand): Promise<void> {
  try {
    await serve(command);
  } catch (error) {
    report(failureOf(error));
  }
  if (process.connected) process.disconnect();
}

async function serve(command: StartCommand): Promise<void> {
  process.umask(0o077);
  await mkdir(command.dataFolder, { recursive: true, mode: 0o700 });
  const { Engine } = await import("./engine.ts");
  const { createHttpAdapter } = await import("./http-adapter.ts");
  await using engine = Engine.open(command.dataFolder);
  // Whoever has the engine has the folder's lock, so that a socket found here belongs to nobody any more.
  await rm(command.socketPath, { force: true });
  const server = createHttpAdapter(engine, command);
  server.listen(command.socketPath);
  await once(server, "listening");
  await chmod(command.socketPath, 0o600);
  report({ kind: "ready", version: engine.version });
  if (!stop.signal.aborted) await once(stop.signal, "abort");
  await drain(server);
}

/** Takes no new request and lets those that run end. */
async function drain(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await closed;
  clearTimeout(timer);
}

function report(message: EngineReport): void {
  if (process.connected) process.send?.(message);
}

function failureOf(error: unknown): EngineReport {
  const message = error instanceof Error ? error.message : String(error);
  if (/Cannot lock file/i.test(message)) return { kind: "failed", code: "DATA_LOCKED", message };
  if (/no native binding|Cannot find package|Cannot find module/i.test(message))
    return { kind: "failed", code: "ENGINE_MISSING", message };
  return { kind: "failed", code: "ENGINE_START_FAILED", message };
}
