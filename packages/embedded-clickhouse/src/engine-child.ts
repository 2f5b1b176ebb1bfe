import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { EngineCommand, StartCommand } from "./engine-messages.ts";
import { parseReport } from "./engine-messages.ts";
import { EmbeddedClickhouseError } from "./errors.ts";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const KEPT_STDERR_BYTES = 4_096;
/** Threads that may be inside the engine at once; more than the requests that run at once. */
const THREADS = "8";

const REMEDIES = {
  ENGINE_MISSING:
    "Install the optional package of this platform again (npm ci), or point SALLYPORT_CLICKHOUSE_URL at a ClickHouse server.",
  DATA_LOCKED: "End the other process that uses this folder.",
  ENGINE_START_FAILED: "",
} as const;

/** One run of the engine's process. */
export class EngineChild {
  readonly version: string;
  readonly pid: number;
  /** Resolves when the process has ended, with what it said last. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ended: Promise<string>, version: string) {
    this.#child = child;
    this.ended = ended;
    this.version = version;
    this.pid = child.pid ?? 0;
  }

  /** @throws {EmbeddedClickhouseError} */
  static async start(command: StartCommand, signal: AbortSignal): Promise<EngineChild> {
    const child = fork(entryPath(), [], {
      execArgv: [],
      env: { PATH: "/usr/bin:/bin", HOME: command.dataFolder, LANG: "C.UTF-8", TZ: "UTC", UV_THREADPOOL_SIZE: THREADS },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const ended = endOf(child);
    try {
      child.send(command satisfies EngineCommand);
      const version = await Promise.race([
        readiness(child, AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])),
        earlyEnd(ended),
      ]);
      return new EngineChild(child, ended, version);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Asks the process to drain and end; ends it when it does not. */
  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.send({ kind: "stop" } satisfies EngineCommand);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** The sibling file, in sources as in the built package. */
function entryPath(): string {
  const isSource = import.meta.url.endsWith(".ts");
  return fileURLToPath(
    isSource ? new URL("./engine-process.ts", import.meta.url) : new URL("./engine-process.js", import.meta.url),
  );
}

async function readiness(child: ChildProcess, signal: AbortSignal): Promise<string> {
  const [message]: unknown[] = await once(child, "message", { signal });
  const report = parseReport(message);
  if (report?.kind === "ready") return report.version;
  if (report === null)
    throw new EmbeddedClickhouseError("ENGINE_START_FAILED", "The engine's process answered with an unknown message.");
  throw new EmbeddedClickhouseError(report.code, `The embedded ClickHouse engine did not start: ${report.message}`, {
    remedy: REMEDIES[report.code],
  });
}

async function earlyEnd(ended: Promise<string>): Promise<never> {
  throw new EmbeddedClickhouseError(
    "ENGINE_START_FAILED",
    `The embedded ClickHouse engine ended before it was ready: ${await ended}`,
  );
}

async function endOf(child: ChildProcess): Promise<string> {
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR_BYTES);
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) =>
      resolve(`${signal ?? `exit status ${code}`}${stderr === "" ? "" : `: ${stderr.trim()}`}`),
    );
  });
}
