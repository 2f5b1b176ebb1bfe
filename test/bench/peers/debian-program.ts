/** Programs of the machine that figures are compared with: nginx, HAProxy, stunnel. None is a dependency, and a bench says so when one is missing. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cpuSeconds } from "./cpu-seconds.ts";

const startTimeoutMs = 5_000;

export interface PeerProcess extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** Of all its processes so far. */
  cpuSeconds(): number;
}

/** Where a program is; null, said on standard error, when it is not on this machine. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (found === undefined)
    process.stderr.write(
      `${name} is not on this machine: THERE IS NO RATIO AGAINST IT. On Debian: apt-get install ${name}\n`,
    );
  return found ?? null;
}

/** Starts a program that listens on `port` of loopback, in the foreground, and waits until it does. */
export async function startProgram(
  name: string,
  program: string,
  args: readonly string[],
  port: number,
): Promise<PeerProcess> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
  await untilListening(child, port).catch((cause: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${name} did not start: ${said.trim()}`, { cause });
  });
  return {
    name,
    port,
    cpuSeconds: () => cpuSeconds(child.pid ?? -1),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`);
    const socket = connect(port, "127.0.0.1");
    const connected = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return;
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await delay(20);
  }
}
