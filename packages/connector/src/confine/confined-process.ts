import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { closedEnvironment } from "./environment.ts";
import { confinedCommand, ownerOf, type Confinement, type ProcessNetwork } from "./confinement.ts";
import { confinementFolders } from "./confinement-folders.ts";
import { createPrivateHome, type PrivateHome } from "./private-home.ts";

export interface ConfinedProcessOptions {
  readonly service: string;
  /** Absolute. */
  readonly command: string;
  readonly args: readonly string[];
  readonly workingFolder: string;
  /** Variables beyond the closed environment, by name. */
  readonly env: Readonly<Record<string, string>>;
  readonly network: ProcessNetwork;
  readonly confinement: Confinement;
  readonly secret: readonly string[];
  readonly writable: readonly string[];
  /** Free text of the process, as it comes. */
  readonly onStderr: (text: Buffer) => void;
  /** Each phase of an end: stdin closed, SIGTERM. Default 1,000 ms. */
  readonly graceMs?: number;
}

export type ProcessEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "killed"; readonly signal: NodeJS.Signals }
  | { readonly kind: "failed"; readonly cause: Error };

/**
 * A process with pipes for stdin and stdout, in its own process group, that ends with its owner at the latest.
 * The end follows the MCP stdio transport: stdin closes, then SIGTERM, then SIGKILL, to its own group only. In namespaces the SIGKILL
 * ends every process in them, also one that left the group.
 */
export class ConfinedProcess implements AsyncDisposable {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #home: PrivateHome;
  readonly #graceMs: number;
  #disposed: Promise<void> | undefined;

  private constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, home: PrivateHome, graceMs: number) {
    this.#child = child;
    this.#home = home;
    this.#graceMs = graceMs;
    this.stdin = child.stdin;
    this.stdout = child.stdout;
    // A process that stops reading is seen by its end.
    child.stdin.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      child.once("error", (cause) => resolve({ kind: "failed", cause }));
      child.once("exit", (code, signal) =>
        resolve(signal === null ? { kind: "exited", code: code ?? 0 } : { kind: "killed", signal }),
      );
    });
  }

  static async start(options: ConfinedProcessOptions): Promise<ConfinedProcess> {
    const home = await createPrivateHome(options.service, ownerOf(options.confinement));
    const folders = await confinementFolders(options.confinement, home.path, options);
    const command = [options.command, ...options.args];
    const [file = "", ...args] = confinedCommand(options.confinement, folders, options.network, command);
    const child = spawn(file, args, {
      cwd: options.workingFolder,
      env: closedEnvironment(home.path, options.env),
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    child.stderr.on("data", options.onStderr);
    return new ConfinedProcess(child, home, options.graceMs ?? 1_000);
  }

  /** HOME of the process, while it runs. */
  get home(): string {
    return this.#home.path;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#end();
    await this.#disposed;
  }

  async #end(): Promise<void> {
    this.#child.stdin.end();
    if (!(await this.#endsWithinGrace())) {
      this.#signalGroup("SIGTERM");
      if (!(await this.#endsWithinGrace())) this.#signalGroup("SIGKILL");
    }
    await this.ended;
    // What it left running in its group, when it exited by itself.
    this.#signalGroup("SIGKILL");
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    await this.#home[Symbol.asyncDispose]();
  }

  async #endsWithinGrace(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#graceMs);
    });
    const inTime = await Promise.race([this.ended.then(() => true), late]);
    clearTimeout(timer);
    return inTime;
  }

  #signalGroup(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: nobody is left in it.
    }
  }
}
