import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface TestNatsServer extends AsyncDisposable {
  readonly port: number;
  /** `nats://127.0.0.1:<port>`; with a `tls` block in the configuration clients use `tls://` instead. */
  readonly url: string;
  readonly pid: number;
  /** Kills it as a crash would, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and the same store, after `kill`. */
  start(): Promise<void>;
}

const READY_TIMEOUT_MS = 10_000;

/**
 * A real nats-server with JetStream on loopback and a store of its own, both gone at the end.
 * @param options.config further lines of its configuration, such as a `tls` block or `accounts`.
 */
export async function natsServer(options: { readonly config?: string } = {}): Promise<TestNatsServer> {
  const dir = await mkdtemp(join(tmpdir(), "sallyport-nats-"));
  let server = await startServer(dir, -1, options.config ?? "");
  const { port } = server;
  const kill = async (): Promise<void> => {
    if (server.child.exitCode !== null || server.child.signalCode !== null) return;
    const gone = once(server.child, "exit");
    server.child.kill("SIGKILL");
    await gone;
  };
  return {
    port,
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return server.child.pid ?? -1;
    },
    kill,
    start: async () => {
      server = await startServer(dir, port, options.config ?? "");
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** @param port -1: any free one. */
async function startServer(
  dir: string,
  port: number,
  config: string,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const configFile = join(dir, "nats.conf");
  await writeFile(
    configFile,
    `listen: "127.0.0.1:${port}"\njetstream: { store_dir: ${JSON.stringify(join(dir, "store"))} }\n${config}\n`,
  );
  const child = spawn(natsServerPath(), ["-c", configFile], { stdio: ["ignore", "ignore", "pipe"] });
  const timeout = setTimeout(() => child.kill("SIGKILL"), READY_TIMEOUT_MS);
  const lines: string[] = [];
  let listening = port;
  try {
    for await (const line of createInterface({ input: child.stderr })) {
      lines.push(line);
      listening = Number(/client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? listening);
      if (line.includes("Server is ready")) {
        child.stderr.resume();
        return { child, port: listening };
      }
    }
  } finally {
    clearTimeout(timeout);
  }
  throw new Error(`nats-server did not become ready:\n${lines.join("\n")}`);
}

/** From PATH, else the one that the project unpacked for itself. */
function natsServerPath(): string {
  const own = fileURLToPath(new URL("../../../.tools/nats-server/usr/sbin/nats-server", import.meta.url));
  const candidates = [
    ...(process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "nats-server")),
    own,
  ];
  const found = candidates.find(isExecutable);
  if (found === undefined)
    throw new Error("No nats-server: neither in PATH nor in .tools. `npm start` puts one there.");
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
