/**
 * nats-server and its certificate.
 *
 * 1. Its private key is in a file of a private folder in memory, only from just before the server reads it until it has.
 * 2. Its certificate is renewed like everyone's: new files, SIGHUP, the key's file removed when the server says it has reloaded.
 * 3. It dies with us where the machine can do that (`setpriv --pdeathsig`); elsewhere the next start ends what was left.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pemOf, type SvidSource } from "@sallyport/identity";
import type { StateLayout } from "./layout.ts";
import { findInPath, findNatsServer } from "./nats-binary.ts";
import { natsConfig } from "./nats-config.ts";
import { privateFolder, type PrivateFolder } from "./private-folder.ts";
import { openLog } from "./process-log.ts";
import type { Launch } from "./supervised-process.ts";

export interface NatsProcessOptions {
  readonly layout: StateLayout;
  readonly networkId: string;
  readonly trustDomain: string;
  readonly port: number;
  readonly identity: SvidSource;
  /** Where to look for executables. */
  readonly path: string;
}

const RELOAD_TIMEOUT_MS = 5_000;
const LEFTOVER_GRACE_MS = 3_000;

export class NatsProcess implements AsyncDisposable {
  readonly #options: NatsProcessOptions;
  readonly #folder: PrivateFolder;
  readonly #stopFollowing: () => void;
  #child: ChildProcess | undefined;
  #onLine: (line: string) => void = () => undefined;

  private constructor(options: NatsProcessOptions, folder: PrivateFolder) {
    this.#options = options;
    this.#folder = folder;
    this.#stopFollowing = options.identity.onRotate(() => void this.#reload());
  }

  static async open(options: NatsProcessOptions): Promise<NatsProcess> {
    await endLeftover(options.layout);
    return new NatsProcess(
      options,
      await privateFolder(`sallyport-${options.networkId}`, join(options.layout.natsStoreDir, "../run")),
    );
  }

  async launch(): Promise<Launch> {
    const { layout, path } = this.#options;
    await this.#writeFiles();
    const log = await openLog(layout.logDir, "nats");
    const [command, ...args] = diesWithParent(path, [findNatsServer(path), "-c", layout.natsConfigFile]);
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], env: {}, detached: true });
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    const lines = createInterface({ input: child.stderr });
    lines.on("line", (line) => {
      void log.write(`${line}\n`);
      if (line.includes("Server is ready")) ready.resolve();
      this.#onLine(line);
    });
    lines.on("close", () => void log.close());
    return { child, ready: ready.promise.then(() => this.#removeKey()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopFollowing();
    await this.#folder[Symbol.asyncDispose]();
  }

  async #reload(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    await this.#writeFiles();
    const reloaded = Promise.withResolvers<void>();
    this.#onLine = (line) => {
      if (/reload/i.test(line)) reloaded.resolve();
    };
    child.kill("SIGHUP");
    await Promise.race([reloaded.promise, sleep(RELOAD_TIMEOUT_MS, undefined, { ref: false })]);
    await this.#removeKey();
  }

  async #writeFiles(): Promise<void> {
    const { layout, trustDomain, port, identity } = this.#options;
    const { certificateChain, privateKey } = identity.current();
    const files = {
      certificateFile: join(this.#folder.path, "certificate.pem"),
      privateKeyFile: this.#keyFile,
      rootsFile: join(this.#folder.path, "roots.pem"),
    };
    await writeFile(files.certificateFile, pemOf(certificateChain), { mode: 0o600 });
    await writeFile(files.privateKeyFile, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    await writeFile(files.rootsFile, pemOf(identity.bundle().roots), { mode: 0o600 });
    const config = natsConfig({
      trustDomain,
      port,
      storeDir: layout.natsStoreDir,
      pidFile: layout.natsPidFile,
      ...files,
    });
    await writeFile(layout.natsConfigFile, config, { mode: 0o600 });
  }

  get #keyFile(): string {
    return join(this.#folder.path, "private-key.pem");
  }

  #removeKey(): Promise<void> {
    return rm(this.#keyFile, { force: true });
  }
}

/** Invariant 3. */
function diesWithParent(path: string, command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const setpriv = findInPath("setpriv", path);
  return setpriv === undefined ? command : [setpriv, "--pdeathsig", "TERM", "--", ...command];
}

/** Ends the server of an earlier run that was killed, if it still runs with our configuration. */
async function endLeftover(layout: StateLayout): Promise<void> {
  const pid = Number(await readFile(layout.natsPidFile, "utf8").catch(() => ""));
  const deadline = Date.now() + LEFTOVER_GRACE_MS;
  while (pid > 0 && (await runsOurConfig(pid, layout.natsConfigFile))) {
    process.kill(pid, Date.now() < deadline ? "SIGTERM" : "SIGKILL");
    await sleep(50);
  }
}

async function runsOurConfig(pid: number, configFile: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return commandLine.split("\0").includes(configFile);
}
