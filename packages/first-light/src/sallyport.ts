import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { FirstLightError } from "./first-light-error.ts";

export interface SallyportOptions {
  /** Absolute path of the plain `.js` launcher. */
  readonly launcher: string;
  /** The whole environment of the command, as a desktop client would give it: small. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** `performance.now()` when the command was started, and when it had ended. */
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface RunOptions {
  /** Written to standard input, which is then closed: the way for a secret, which has no place in `ps`. */
  readonly input?: string;
  /** Default 20,000. */
  readonly timeoutMs?: number;
}

/** The `sallyport` command, each call a process of its own, as a person or an MCP client would start it. */
export class Sallyport {
  readonly launcher: string;
  readonly env: Readonly<Record<string, string>>;

  constructor({ launcher, env }: SallyportOptions) {
    this.launcher = launcher;
    this.env = env;
  }

  /** Runs a command to its end, whatever its exit status. */
  async run(args: readonly string[], { input = "", timeoutMs = 20_000 }: RunOptions = {}): Promise<Ran> {
    const startedAt = performance.now();
    const child = spawn(process.execPath, [this.launcher, ...args], { env: this.env, stdio: "pipe" });
    const stdout = textOf(child.stdout);
    const stderr = textOf(child.stderr);
    // A command that does not read its input closes it early, which is its right.
    child.stdin.on("error", () => undefined).end(input);
    let isOverdue = false;
    const overdue = setTimeout(() => {
      isOverdue = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    try {
      const [status, signal] = (await once(child, "close")) as [number | null, string | null];
      const ran = { status, stdout: stdout(), stderr: stderr(), startedAt, endedAt: performance.now() };
      if (signal === null) return ran;
      const command = `\`sallyport ${args[0]}\``;
      if (isOverdue) throw new FirstLightError("TIMED_OUT", `${command} did not end in ${timeoutMs} ms: ${ran.stderr}`);
      throw new FirstLightError("PROCESS_FAILED", `${command} was ended by ${signal}: ${ran.stderr}`);
    } finally {
      clearTimeout(overdue);
    }
  }

  /** Runs a command that must succeed. */
  async succeed(args: readonly string[], options?: RunOptions): Promise<Ran> {
    const ran = await this.run(args, options);
    if (ran.status === 0) return ran;
    throw new FirstLightError(
      "PROCESS_FAILED",
      `\`sallyport ${args[0]}\` ended with status ${ran.status}: ${ran.stderr.trim()}`,
    );
  }

  /** Starts a command that stays, such as `host`. */
  start(args: readonly string[]): StandingProcess {
    const child = spawn(process.execPath, [this.launcher, ...args], {
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new StandingProcess(`sallyport ${args.slice(0, 2).join(" ")}`, child);
  }
}

/** A process that should run until it is told to stop. */
export class StandingProcess implements AsyncDisposable {
  readonly pid: number;
  /** Rejects when the process ends before it was told to. */
  readonly failure: Promise<never>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #told = false;

  constructor(name: string, child: ChildProcess) {
    const stderr = textOf(child.stderr);
    textOf(child.stdout);
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#closed = once(child, "close");
    this.failure = this.#closed.then(() => {
      if (this.#told) return new Promise<never>(() => undefined);
      throw new FirstLightError(
        "PROCESS_FAILED",
        `\`${name}\` ended by itself with status ${child.exitCode}: ${stderr().trim()}`,
      );
    });
    this.failure.catch(() => undefined);
  }

  /** SIGTERM, then SIGKILL after three seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#told = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const overdue = setTimeout(() => this.#child.kill("SIGKILL"), 3_000);
    await this.#closed.catch(() => undefined);
    clearTimeout(overdue);
  }
}

/** Collects a stream's text, its last 64 KiB. */
function textOf(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    text = (text + chunk).slice(-65_536);
  });
  return () => text;
}
