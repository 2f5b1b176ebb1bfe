import { join } from "node:path";
import type { HolderName } from "./roles.ts";

/** Where things lie in a state folder. */
export interface StateLayout {
  readonly networkFile: string;
  readonly lockFile: string;
  readonly logDir: string;
  readonly compileCacheDir: string;
  readonly natsStoreDir: string;
  readonly natsConfigFile: string;
  readonly natsPidFile: string;
  readonly rootFile: string;
  /** Sealed under the key `root`, which nothing needs to run: it can be taken off the machine. */
  readonly rootKeyFile: string;
  readonly bootstrapCaFile: string;
  readonly bootstrapCaKeyFile: string;
  /** A process's own folder: its SALLYPORT_STATE_DIR. */
  processDir(holder: HolderName): string;
  bootstrapDir(holder: HolderName): string;
}

export function stateLayout(stateDir: string): StateLayout {
  const processDir = (holder: HolderName): string => join(stateDir, holder);
  return {
    networkFile: join(stateDir, "network.json"),
    lockFile: join(stateDir, "lock"),
    logDir: join(stateDir, "logs"),
    compileCacheDir: join(stateDir, "cache"),
    natsStoreDir: join(stateDir, "nats", "jetstream"),
    natsConfigFile: join(stateDir, "nats", "nats.conf"),
    natsPidFile: join(stateDir, "nats", "pid"),
    rootFile: join(stateDir, "ca", "root.pem"),
    rootKeyFile: join(stateDir, "ca", "root-key.pem"),
    bootstrapCaFile: join(stateDir, "ca", "bootstrap-roots.pem"),
    bootstrapCaKeyFile: join(stateDir, "ca", "bootstrap-ca-key.pem"),
    processDir,
    bootstrapDir: (holder) => join(processDir(holder), "bootstrap"),
  };
}
