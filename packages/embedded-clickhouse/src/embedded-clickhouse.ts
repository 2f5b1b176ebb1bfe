import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EngineChild } from "./engine-child.ts";
import type { StartCommand } from "./engine-messages.ts";
import { assertEngineSupported, thisMachine } from "./engine-support.ts";
import { EmbeddedClickhouseError } from "./errors.ts";

export interface EmbeddedClickhouseOptions {
  /** Holds the data and the socket; made when absent, readable by this user only. */
  readonly folder: string;
  /** Told when the engine's process ended unasked, and again when a restart failed. Default: nobody. */
  readonly onTrouble?: (error: EmbeddedClickhouseError) => void;
  readonly signal?: AbortSignal;
}

/** What `createClient` of `@clickhouse/client` needs. */
export interface ClickhouseEndpoint {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly http_agent: Agent;
}

type State =
  | { readonly kind: "running"; readonly child: EngineChild }
  | { readonly kind: "restarting" }
  | { readonly kind: "closed"; readonly ended: Promise<void> };

/** A previous owner's engine drains for so long at most. */
const LOCK_WAIT_MS = 20_000;
const FIRST_RESTART_MS = 50;
const MAX_RESTART_MS = 5_000;
/** sockaddr_un of unix(7) has room for 107 characters. */
const MAX_SOCKET_PATH = 100;

/** A ClickHouse of one's own: the engine in a child process, spoken to over HTTP on a socket that only this user can reach, restarted when it ends. */
export class EmbeddedClickhouse implements AsyncDisposable {
  readonly #command: StartCommand;
  readonly #agent: Agent;
  readonly #removeOnClose: string | null;
  readonly #onTrouble: (error: EmbeddedClickhouseError) => void;
  readonly #stop = new AbortController();
  #state: State;

  private constructor(
    command: StartCommand,
    child: EngineChild,
    removeOnClose: string | null,
    options: EmbeddedClickhouseOptions,
  ) {
    this.#command = command;
    this.#removeOnClose = removeOnClose;
    this.#onTrouble = options.onTrouble ?? (() => {});
    this.#agent = new Agent({ keepAlive: true, maxSockets: 32, ...socketOption(command.socketPath) });
    this.#state = { kind: "running", child };
    void this.#watch(child);
  }

  /** @throws {EmbeddedClickhouseError} */
  static async start(options: EmbeddedClickhouseOptions): Promise<EmbeddedClickhouse> {
    assertEngineSupported(thisMachine());
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const besideData = join(options.folder, "http.sock");
    const removeOnClose =
      besideData.length <= MAX_SOCKET_PATH ? null : await mkdtemp(join(tmpdir(), "sallyport-engine-"));
    const command: StartCommand = {
      kind: "start",
      dataFolder: join(options.folder, "data"),
      socketPath: removeOnClose === null ? besideData : join(removeOnClose, "http.sock"),
      writerToken: randomBytes(32).toString("base64url"),
      readerToken: randomBytes(32).toString("base64url"),
    };
    const child = await startOnceUnlocked(command, options.signal ?? new AbortController().signal);
    return new EmbeddedClickhouse(command, child, removeOnClose, options);
  }

  /** For schema and inserts. */
  get writer(): ClickhouseEndpoint {
    return {
      url: "http://localhost",
      username: "writer",
      password: this.#command.writerToken,
      http_agent: this.#agent,
    };
  }

  /** For queries on somebody's behalf: cannot write, read files or reach the network. */
  get reader(): ClickhouseEndpoint {
    return {
      url: "http://localhost",
      username: "reader",
      password: this.#command.readerToken,
      http_agent: this.#agent,
    };
  }

  /** Process id of the engine; null while it is restarted. */
  get pid(): number | null {
    return this.#state.kind === "running" ? this.#state.child.pid : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state.kind !== "closed") this.#state = { kind: "closed", ended: this.#close(this.#state) };
    await this.#state.ended;
  }

  async #close(state: Exclude<State, { kind: "closed" }>): Promise<void> {
    this.#stop.abort();
    if (state.kind === "running") await state.child.stop();
    this.#agent.destroy();
    if (this.#removeOnClose !== null) await rm(this.#removeOnClose, { recursive: true, force: true });
  }

  async #watch(first: EngineChild): Promise<void> {
    let child: EngineChild | null = first;
    while (child !== null) {
      const lastWords = await child.ended;
      if (this.#state.kind === "closed") return;
      this.#state = { kind: "restarting" };
      this.#onTrouble(
        new EmbeddedClickhouseError(
          "ENGINE_START_FAILED",
          `The embedded ClickHouse engine ended unasked (${lastWords}) and is started again.`,
        ),
      );
      child = await this.#restart();
    }
  }

  async #restart(): Promise<EngineChild | null> {
    let waitMs = FIRST_RESTART_MS;
    while (this.#state.kind === "restarting") {
      try {
        await delay(waitMs, undefined, { signal: this.#stop.signal });
        const child = await EngineChild.start(this.#command, this.#stop.signal);
        this.#state = { kind: "running", child };
        return child;
      } catch (error) {
        if (this.#stop.signal.aborted) return null;
        if (error instanceof EmbeddedClickhouseError) this.#onTrouble(error);
        waitMs = Math.min(waitMs * 2, MAX_RESTART_MS);
      }
    }
    return null;
  }
}

/** The type of Agent's options lacks what its implementation hands to `net.connect`: the path of a unix socket. */
function socketOption(socketPath: string): object {
  return { socketPath };
}

async function startOnceUnlocked(command: StartCommand, signal: AbortSignal): Promise<EngineChild> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await EngineChild.start(command, signal);
    } catch (error) {
      const isLocked = error instanceof EmbeddedClickhouseError && error.code === "DATA_LOCKED";
      if (!isLocked || Date.now() > deadline) throw error;
      await delay(250, undefined, { signal });
    }
  }
}
