import { mkdir } from "node:fs/promises";
import { openAdmin, type AdminClients } from "./admin-clients.ts";
import { Constellation } from "./constellation.ts";
import { rememberCurrent } from "./current-network.ts";
import { ConstellationError } from "./constellation-error.ts";
import { KeyFiles } from "./key-files.ts";
import { stateLayout } from "./layout.ts";
import { openState } from "./open-state.ts";
import { lockState } from "./state-lock.ts";
import type { ProcessEvent } from "./supervised-process.ts";

export interface Progress {
  /** `state`, `nats`, a service's name, `ready`. */
  readonly step: string;
  /** Since the start of the network. */
  readonly ms: number;
}

export interface StartOptions {
  readonly stateDir: string;
  /** Where key encryption keys of new networks go: outside the state folder. */
  readonly keyDir: string;
  /** Of a new network. Default `sallyport.local`. */
  readonly trustDomain?: string;
  /** Of a new network. Default `127.0.0.1:0`: a free port, kept. */
  readonly routerListen?: string;
  /** Where workloads reach the router. Default: what it was, at first `routerListen`. */
  readonly publicAddress?: string;
  /** Default `info`. */
  readonly logLevel?: string;
  /** Life of every certificate from now on. Default: an hour. Short for drills: what happens when all of them have expired. */
  readonly svidTtlSeconds?: number;
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
  /** `host:port` for workloads. */
  readonly routerAddress: string;
  readonly trustDomain: string;
  /** By process name, as they are now. */
  readonly pids: Readonly<Record<string, number>>;
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
    routerAddress: network.publicAddress,
    trustDomain: network.trustDomain,
    get pids() {
      return constellation.pids;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** @throws ConstellationError START_TIMEOUT, or the caller's own reason. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(abortReason(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function abortReason(signal: AbortSignal): unknown {
  if (!(signal.reason instanceof DOMException) || signal.reason.name !== "TimeoutError") return signal.reason;
  return new ConstellationError({
    code: "START_TIMEOUT",
    message: "the network did not become ready in time",
    remedy: "Look at the logs in the state folder, or start again on a quieter machine.",
  });
}
