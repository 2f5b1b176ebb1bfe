import type { BaseFolders } from "@sallyport/connector";

export interface CrowdApi {
  /** Keeps `perProfile` tunnels of each profile to one router, re-dialed as a connector does. Resolves when all are up. */
  readonly gather: (options: {
    readonly profiles: readonly string[];
    readonly folders: BaseFolders;
    readonly perProfile: number;
    /** `host:port`. */
    readonly router: string;
    /** Each profile comes from an address of its own, `127.<network>.0.1` and up, as from a machine of its own. */
    readonly network: number;
  }) => Promise<void>;
  readonly count: (nothing: null) => CrowdCount;
}

export interface CrowdCount {
  readonly up: number;
  /** How often a tunnel was lost so far. */
  readonly lost: number;
  /** How often one could not be made so far. */
  readonly failed: number;
}
