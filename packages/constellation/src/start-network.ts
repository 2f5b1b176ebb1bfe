import { mkdir } from "node:fs/promises";
import { openAdmin, type AdminClients } from "./admin-clients.ts";
import { Constellation } from "./constellation.ts";
import { rememberCurrent } from "./current-network.ts";
import { restartProcess, type RestartOptions } from "./restart-process.ts";
import { KeyFiles } from "./key-files.ts";
import { stateLayout } from "./layout.ts";
import { publicAddresses } from "./network-file.ts";
import { openState } from "./open-state.ts";
import type { RouterWishes } from "./plan-routers.ts";
import type { ProcessName } from "./roles.ts";
import { lockState } from "./state-lock.ts";
import { untilAborted } from "./until-aborted.ts";
import type { ProcessEvent } from "./supervised-process.ts";

export interface Progress {
  /** `state`, `nats`, a service's name, `ready`. */
  readonly step: string;
  /** Since the start of the network. */
  readonly ms: number;
}

export interface StartOptions extends RouterWishes {
  readonly stateDir: string;
  /** Where key encryption keys of new networks go: outside the state folder. */
  readonly keyDir: string;
  /** Of a new network. Default `sallyport.local`. */
  readonly trustDomain?: string;
  /** Default `info`. */
  readonly logLevel?: string;
  /** Life of every certificate from now on. Default: an hour. Short for drills: what happens when all of them have expired. */
  readonly svidTtlSeconds?: number;
  /** `host:port` under which other routers reach each router's links, in the order of their names. Default: its own link port on 127.0.0.1. */
  readonly linkAddresses?: readonly string[];
  readonly onProgress?: (progress: Progress) => void;
  /** What happens to the processes, also later. */
  readonly onProcessEvent?: (event: ProcessEvent) => void;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Where executables are looked for (PATH), and what children inherit (PATH, HOME, LANG, TZ, TMPDIR). */
  readonly env: NodeJS.ProcessEnv;
}

export interface Network extends AsyncDisposable {
  readonly admin: AdminClients;
  /** `host:port` for workloads: the first router's. */
  readonly routerAddress: string;
  /** All of them, each once. */
  readonly routerAddresses: readonly string[];
  readonly trustDomain: string;
  /** By process name, as they are now. */
  readonly pids: Readonly<Record<string, number>>;
  /**
   * Ends a process in its own way, which for a router is a drain, and resolves when the one that takes its place is ready.
   * One router after another is a rolling restart.
   * @throws ConstellationError START_TIMEOUT
   */
  restart(name: ProcessName | "nats", options?: RestartOptions): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Makes the network of a state folder if there is none, and runs it: each service and nats-server as a process of its own, restarted when it ends.
 * @throws ConstellationError
 */
export async function startNetwork(options: StartOptions): Promise<Network> {
  const startedAt = performance.now();
  const progress = (step: string): void => options.onProgress?.({ step, ms: performance.now() - startedAt });
  const signal = AbortSignal.any([
    ...(options.signal === undefined ? [] : [options.signal]),
    AbortSignal.timeout(options.timeoutMs ?? 60_000),
  ]);
  const layout = stateLayout(options.stateDir);
  await using owned = new AsyncDisposableStack();

  await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
  owned.use(await lockState(layout.lockFile));
  const network = await openState(options);
  progress("state");

  const constellation = owned.use(
    new Constellation({
      network,
      layout,
      keys: new KeyFiles(network.keyDir, network.id),
      logLevel: options.logLevel ?? "info",
      svidTtlSeconds: options.svidTtlSeconds,
      linkAddresses: options.linkAddresses,
      env: options.env,
      onReady: progress,
      onProcessEvent: (event) => options.onProcessEvent?.(event),
    }),
  );
  await untilAborted(constellation.start(signal), signal);
  const admin = owned.use(await openAdmin(options.stateDir, { signal }));
  owned.use(await rememberCurrent(options.env, options.stateDir));
  progress("ready");

  const kept = owned.move();
  const stop = (): Promise<void> => kept.disposeAsync();
  return {
    admin,
    routerAddress: network.routers[0].publicAddress,
    routerAddresses: publicAddresses(network),
    trustDomain: network.trustDomain,
    get pids() {
      return constellation.pids;
    },
    restart: (name, restart = {}) => restartProcess(constellation, admin, name, restart),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
