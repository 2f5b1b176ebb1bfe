import type { Svid, TrustBundle } from "@sallyport/identity";
import type { BaseFolders, ProfilePaths } from "./profile-paths.ts";

/** A workload's identity on this machine, and where it reaches the network. */
export interface Profile {
  readonly name: string;
  readonly folders: BaseFolders;
  readonly paths: ProfilePaths;
  /** `host:port`, in the order in which they are tried. */
  readonly routers: readonly string[];
  /** Grows with every issue for this instance; enrollment notices a clone by its being old. */
  readonly generation: number;
  readonly svid: Svid;
  readonly bundle: TrustBundle;
}
