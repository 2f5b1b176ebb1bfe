import type { IssuedIdentity } from "./router-worker-api.ts";

/** A splice between two TLS connections, and nothing else of a router: what is sent on the second connection leaves on the first, and the reverse. */
export interface SpliceWorkerApi {
  /** Answers with the port. Stream ids are mapped from the first odd ones to the first even ones, `circuits` of them. */
  readonly start: (setup: {
    readonly identity: IssuedIdentity;
    readonly version: "splice" | "plain";
    readonly circuits: number;
  }) => Promise<number>;
}
