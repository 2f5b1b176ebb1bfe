import type { BaseFolders } from "@sallyport/connector";

/** What a test asks of a connector in a process of its own. Times are `Date.now()`, which all processes of a machine share. */
export interface ConnectorWorkerApi {
  /** Resolves when the connector has a tunnel. `routers` replaces those of the profile: a detour through a relay. */
  readonly open: (options: {
    readonly profile: string;
    readonly folders: BaseFolders;
    readonly routers?: readonly string[];
  }) => Promise<void>;
  /** Echoes what it is sent. Resolves when a router took the offer. */
  readonly host: (service: string) => Promise<void>;
  /** Forwards to a TCP server, `host:port`. Resolves when a router took the offer. */
  readonly forward: (options: { readonly service: string; readonly target: string }) => Promise<void>;
  /** Opens circuits and sends something over each every 100 ms until they end. Their ids. */
  readonly hold: (options: { readonly service: string; readonly count: number }) => Promise<readonly string[]>;
  /** What became of the circuits that were held here, and of those that were hosted. */
  readonly circuits: (role: "held" | "hosted") => readonly CircuitFate[];
  /** Ends the held circuits in peace. */
  readonly release: (nothing: null) => Promise<void>;
  /** Dials, echoes, ends, again and again. */
  readonly startDialing: (options: { readonly service: string; readonly parallel: number }) => void;
  readonly stopDialing: (nothing: null) => Promise<DialingReport>;
  /** Resolves when the network has every event so far. */
  readonly flushAudit: (nothing: null) => Promise<void>;
  /** What the connector said, newest last. */
  readonly log: (nothing: null) => readonly string[];
}

export interface CircuitFate {
  readonly circuitId: string;
  /** The kind of its end; null while it lives. */
  readonly end: string | null;
  readonly endedAtUnixMs: number;
  /** Between an echo and the next. */
  readonly longestSilenceMs: number;
}

export interface DialingReport {
  /** Circuits that were dialed, used and ended well. */
  readonly circuitIds: readonly string[];
  readonly failures: readonly { readonly atUnixMs: number; readonly why: string }[];
  readonly slowestMs: number;
}
