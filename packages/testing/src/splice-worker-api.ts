import type { IssuedIdentity } from "./router-worker-api.ts";

export interface SpliceRun {
  readonly version: "splice" | "plain";
  readonly payloadBytes: number;
  /** Of 64 frames each. */
  readonly rounds: number;
}

/** A splice between two TLS connections, and nothing else of a router: what is sent on the second connection leaves on the first, and the reverse. */
export interface SpliceWorkerApi {
  /** Answers with the port. Stream ids are mapped from the first odd ones to the first even ones, `circuits` of them. */
  readonly start: (setup: {
    readonly identity: IssuedIdentity;
    readonly version: "splice" | "plain";
    readonly circuits: number;
  }) => Promise<number>;
  /** Frames from a buffer to a buffer, in CPU time of the process. */
  readonly inMemory: (run: SpliceRun) => Promise<{ readonly frames: number; readonly cpuSeconds: number }>;
}
