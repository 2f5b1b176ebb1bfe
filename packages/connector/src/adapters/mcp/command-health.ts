import { constants } from "node:fs";
import { access } from "node:fs/promises";
import type { ProcessEnd } from "../../confine/confined-process.ts";
import { CachedHealth, down, up, type HostHealth } from "../../connector/host-health.ts";

/** What is watched of a process that was started for a circuit. */
export interface StartedProcess {
  readonly stdout: NodeJS.ReadableStream;
  readonly ended: Promise<ProcessEnd>;
}

/** How long a failed start speaks against the command. Then a circuit may find out whether it starts again. */
const blameMs = 30_000;

/**
 * Whether an MCP server's command would start: it is there, and its last start did not fail. It is not started to find out.
 * A process that ends by itself before it wrote anything has failed to start; one that its circuit ended says nothing.
 */
export class CommandHealth {
  readonly #health: CachedHealth;
  #failure: { readonly reason: string; readonly at: number } | undefined;

  /** Both absolute. */
  constructor(command: string, workingFolder: string) {
    this.#health = new CachedHealth(async () => {
      if (this.#failure !== undefined && performance.now() - this.#failure.at < blameMs)
        return down(`its last start failed: ${this.#failure.reason}`);
      await access(workingFolder, constants.X_OK);
      await access(command, constants.X_OK);
      return up;
    });
  }

  async ask(): Promise<HostHealth> {
    return await this.#health.ask();
  }

  /** Learns from a start. `wanted` tells whether its circuit still runs when the process ends. */
  watch({ stdout, ended }: StartedProcess, wanted: () => boolean): void {
    let hasSpoken = false;
    stdout.once("data", () => {
      hasSpoken = true;
      this.#succeeded();
    });
    void ended.then((end) => {
      if (!hasSpoken && wanted()) this.failed(describeEnd(end));
    });
  }

  failed(reason: string): void {
    this.#failure = { reason, at: performance.now() };
    this.#health.learn(down(`its last start failed: ${reason}`));
  }

  #succeeded(): void {
    this.#failure = undefined;
    this.#health.learn(up);
  }
}

function describeEnd(end: ProcessEnd): string {
  switch (end.kind) {
    case "exited":
      return `it exited with status ${end.code} before it said anything`;
    case "killed":
      return `it was ended by ${end.signal} before it said anything`;
    case "failed":
      return end.cause.message;
  }
}
