import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A state folder and a user's base folders of their own, gone when disposed: two of them share nothing. */
export interface TemporaryHome extends AsyncDisposable {
  readonly folder: string;
  readonly stateDir: string;
  readonly keyDir: string;
  readonly profilesFolder: string;
  /** The whole environment of a `sallyport` command. */
  readonly env: Readonly<Record<string, string>>;
}

export async function temporaryHome(): Promise<TemporaryHome> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-test-"));
  return {
    folder,
    stateDir: join(folder, "state"),
    keyDir: join(folder, "data/sallyport/keys"),
    profilesFolder: join(folder, "config/sallyport/profiles"),
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: folder,
      LANG: "C.UTF-8",
      XDG_CONFIG_HOME: join(folder, "config"),
      XDG_DATA_HOME: join(folder, "data"),
      XDG_STATE_HOME: join(folder, "spool"),
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
