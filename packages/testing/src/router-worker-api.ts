/** What the router of a benchmark is started with. */
export interface RouterWorkerSetup {
  readonly cedar: string;
  readonly workloads: readonly string[];
  /** They speak `tcp`. */
  readonly services: readonly string[];
  /** Bounds of a router that a benchmark has to lift, by their names in the router's table of limits. */
  readonly limits: {
    readonly maxStreamsPerTunnel?: number;
    readonly opensPerSecondPerIdentity?: number;
    readonly openBurstPerIdentity?: number;
    readonly connectionsPerSecondPerSource?: number;
    readonly firstByteMs?: number;
    readonly handshakeMs?: number;
    readonly overloadDelayMs?: number;
  };
  /** For its audit spool. */
  readonly folder: string;
}

/** PEM. */
export interface IssuedIdentity {
  readonly chain: string;
  readonly privateKey: string;
  readonly roots: string;
  readonly trustDomain: string;
}

/** A router in a process of its own, with its own authority and signed policy, and without a bus. */
export interface RouterWorkerApi {
  /** Answers with the public port, `host:port`. */
  readonly start: (setup: RouterWorkerSetup) => Promise<string>;
  readonly issue: (workload: { readonly name: string; readonly instance: string }) => Promise<IssuedIdentity>;
  /** Live circuits. */
  readonly circuits: (nothing: null) => number;
  /** Collects garbage, in a process that was started with `--expose-gc`. */
  readonly collect: (nothing: null) => Promise<void>;
}
