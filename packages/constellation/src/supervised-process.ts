/**
 * A process that is started again when it ends, with a growing pause, until it is stopped.
 *
 * 1. `ready` is about the first start only: it resolves when the process said so, and rejects when it ended `MAX_FAILED_STARTS` times before.
 * 2. After a stop was asked for, nothing is started any more.
 * 3. A process that does not end in its grace is killed.
 * 4. A restart that was asked for is no failure: the next one starts at once.
 */
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { ConstellationError } from "./constellation-error.ts";

export interface Launch {
  readonly child: ChildProcess;
  /** Resolves when the process can do its work; never, if it ends before. */
  readonly ready: Promise<void>;
}

export type ProcessEvent =
  | { readonly kind: "started"; readonly name: string; readonly pid: number }
  | { readonly kind: "ready"; readonly name: string }
  | { readonly kind: "ended"; readonly name: string; readonly how: string; readonly restartInMs: number };

export interface SupervisedOptions {
  readonly name: string;
  readonly launch: () => Promise<Launch>;
  /** Its last words, for the message when it cannot be started. */
  readonly lastWords: () => Promise<string>;
  readonly onEvent?: (event: ProcessEvent) => void;
  /** Between SIGTERM and SIGKILL. Default 5,000. */
  readonly stopGraceMs?: number;
}

const MAX_FAILED_STARTS = 3;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** One that lived this long starts again with the shortest pause. */
const HEALTHY_MS = 10_000;

/** A restart that was asked for while `instead` ran: done when another one is ready. */
interface Restart {
  readonly instead: ChildProcess | undefined;
  readonly done: PromiseWithResolvers<void>;
}

export class SupervisedProcess implements AsyncDisposable {
  readonly ready: Promise<void>;
  readonly #options: SupervisedOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #firstReady = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #restarts = 0;
  readonly #asked = new Set<Restart>();

  constructor(options: SupervisedOptions) {
    this.#options = options;
    this.ready = this.#firstReady.promise;
    // Whoever starts it awaits `ready`; a stop before that is not a fault of its own.
    this.ready.catch(() => undefined);
    this.#running = this.#run();
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** SIGTERM, after `graceMs` SIGKILL. Resolves when the process that takes its place is ready. @throws when it is stopped meanwhile */
  async restart(graceMs: number): Promise<void> {
    if (this.#stop.signal.aborted) throw this.#stopped();
    const child = this.#child;
    const done = Promise.withResolvers<void>();
    this.#asked.add({ instead: child, done });
    if (child !== undefined) {
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.kill("SIGKILL"), graceMs); // 3
      child.once("exit", () => clearTimeout(kill));
    }
    await done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort();
      this.#firstReady.reject(this.#stopped());
    }
    await this.#running;
    for (const { done } of this.#asked) done.reject(this.#stopped());
  }

  #stopped(): Error {
    return new Error(`${this.#options.name} was stopped`);
  }

  async #run(): Promise<void> {
    let failures = 0;
    let wasReady = false;
    while (!this.#stop.signal.aborted) {
      const startedAt = Date.now();
      const { how, wasAsked } = await this.#runOnce(() => {
        wasReady = true;
        this.#firstReady.resolve();
      });
      if (this.#stop.signal.aborted) return;
      failures = wasAsked ? 0 : Date.now() - startedAt > HEALTHY_MS ? 1 : failures + 1;
      if (!wasReady && failures >= MAX_FAILED_STARTS) {
        this.#firstReady.reject(await this.#failure(how));
        return;
      }
      const restartInMs = wasAsked ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), MAX_PAUSE_MS); // 4
      this.#options.onEvent?.({ kind: "ended", name: this.#options.name, how, restartInMs });
      this.#restarts += 1;
      await sleep(restartInMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** @returns how it ended, and whether a restart had asked for that. */
  async #runOnce(onReady: () => void): Promise<{ readonly how: string; readonly wasAsked: boolean }> {
    const { name, launch, onEvent } = this.#options;
    let started: Launch;
    try {
      started = await launch();
    } catch (error) {
      return { how: error instanceof Error ? error.message : String(error), wasAsked: false };
    }
    const { child, ready } = started;
    this.#child = child;
    if (child.pid !== undefined) onEvent?.({ kind: "started", name, pid: child.pid });
    ready.then(
      () => {
        onReady();
        onEvent?.({ kind: "ready", name });
        this.#finishRestarts(child);
      },
      () => undefined,
    );
    const ended = endOf(child);
    const stopping = this.#stopChild(child, ended);
    const how = await ended;
    this.#child = undefined;
    await stopping[Symbol.asyncDispose]();
    return { how, wasAsked: [...this.#asked].some(({ instead }) => instead === child) };
  }

  #finishRestarts(ready: ChildProcess): void {
    for (const restart of this.#asked) {
      if (restart.instead === ready) continue;
      this.#asked.delete(restart);
      restart.done.resolve();
    }
  }

  /** Invariant 3. */
  #stopChild(child: ChildProcess, ended: Promise<string>): AsyncDisposable {
    const { signal } = this.#stop;
    let kill: NodeJS.Timeout | undefined;
    const onStop = (): void => {
      child.kill("SIGTERM");
      kill = setTimeout(() => child.kill("SIGKILL"), this.#options.stopGraceMs ?? 5_000);
    };
    if (signal.aborted) onStop();
    signal.addEventListener("abort", onStop, { once: true });
    return {
      [Symbol.asyncDispose]: async () => {
        await ended;
        clearTimeout(kill);
        signal.removeEventListener("abort", onStop);
      },
    };
  }

  async #failure(how: string): Promise<ConstellationError> {
    const { name, lastWords } = this.#options;
    return new ConstellationError({
      code: "PROCESS_FAILED",
      message: `${name} could not be started: it ${how}\n${await lastWords()}`.trimEnd(),
      remedy: "Correct what it says and start again. The whole of its log is in the folder `logs` of the state folder.",
    });
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(signal === null ? `ended with status ${code}` : `was ended by ${signal}`),
    );
    child.once("error", (error) => resolve(`could not be run: ${error.message}`));
  });
}
