/**
 * The processes of one network.
 *
 * 1. Order of start: `ca`; then nats-server, whose certificate is the CA's; then the others at once. Each waits by itself for what it needs.
 * 2. Order of stop: first who emits audit events, then `audit`, then the bus.
 */
import { createLogger, loadBootstrap, remoteIssuer, SvidRenewal } from "@sallyport/service";
import { serviceEntry } from "./checkout.ts";
import type { KeyFiles } from "./key-files.ts";
import type { StateLayout } from "./layout.ts";
import { NatsProcess } from "./nats-process.ts";
import { runningRouters, type NetworkFile } from "./network-file.ts";
import { lastWords } from "./process-log.ts";
import { holderId, serviceOf, type ProcessName } from "./roles.ts";
import {
  inherited,
  processOf,
  serviceEnvironment,
  type EnvironmentInput,
  type Instance,
} from "./service-environment.ts";
import { launchService } from "./service-process.ts";
import { SupervisedProcess, type Launch, type ProcessEvent } from "./supervised-process.ts";

export interface ConstellationOptions {
  readonly network: NetworkFile;
  readonly layout: StateLayout;
  readonly keys: KeyFiles;
  readonly logLevel: string;
  readonly svidTtlSeconds: number | undefined;
  readonly linkAddresses: readonly string[] | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly onReady: (name: string) => void;
  readonly onProcessEvent: (event: ProcessEvent) => void;
}

export class Constellation implements AsyncDisposable {
  readonly #options: ConstellationOptions;
  readonly #processes = new Map<ProcessName | "nats", SupervisedProcess>();
  readonly #bus = new AsyncDisposableStack();
  #starting: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(options: ConstellationOptions) {
    this.#options = options;
  }

  get pids(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#processes].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid]])),
    );
  }

  /** Resolves when every process is ready. @throws ConstellationError PROCESS_FAILED */
  async start(signal: AbortSignal): Promise<void> {
    this.#starting = this.#start(signal);
    await this.#starting;
  }

  async #start(signal: AbortSignal): Promise<void> {
    const ca = this.#startService({ kind: "service", process: "ca" });
    await ca.ready;
    const bus = await this.#startBus(signal);
    await Promise.all([bus.ready, ...this.#startOthers()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    const emitters = [...this.#processes.keys()].filter((name) => name !== "audit" && name !== "nats");
    await Promise.all(emitters.map((name) => this.#stop(name)));
    await this.#stop("audit");
    await this.#stop("nats");
    // A start that was given up has nothing left to wait for now, and starts nothing more.
    await this.#starting.catch(() => undefined);
    await this.#bus.disposeAsync();
  }

  /**
   * Ends a process in its own way, and resolves when the one that takes its place is ready.
   * @param graceMs between SIGTERM and SIGKILL.
   */
  async restart(name: ProcessName | "nats", options: { readonly graceMs: number }): Promise<void> {
    const supervised = this.#processes.get(name);
    if (supervised === undefined) throw new TypeError(`there is no process ${name}`);
    await supervised.restart(options.graceMs);
  }

  #startOthers(): readonly Promise<void>[] {
    const services = (["enrollment", "policy", "audit"] as const).map(
      (process) => ({ kind: "service", process }) as const,
    );
    const routers = runningRouters(this.#options.network).map((router) => ({ kind: "router", router }) as const);
    return [...services, ...routers].map((instance) => this.#startService(instance).ready);
  }

  /** We ask the CA for the bus's certificate, by the bus's own bootstrap credential. */
  async #startBus(signal: AbortSignal): Promise<SupervisedProcess> {
    const { network, layout, keys, env } = this.#options;
    const { trustDomain } = network;
    const bootstrap = await loadBootstrap({
      dir: layout.bootstrapDir("nats"),
      trustDomain,
      keyEncryptionKey: await keys.read("nats"),
    });
    const issue = this.#bus.use(remoteIssuer({ caAddress: `127.0.0.1:${network.ports.ca}`, bootstrap }));
    const log = createLogger({ name: "nats", instance: "1", level: "silent" });
    const svid = await SvidRenewal.open({ issue, bus: false, uri: holderId("nats", trustDomain).uri, log, signal });
    this.#bus.use(svid);
    const identity = svid.source;
    const nats = this.#bus.use(
      await NatsProcess.open({
        layout,
        networkId: network.id,
        trustDomain,
        port: network.ports.nats,
        identity,
        path: env["PATH"] ?? "",
      }),
    );
    return this.#supervise("nats", () => nats.launch());
  }

  #startService(instance: Instance): SupervisedProcess {
    const { layout, env } = this.#options;
    const environment: EnvironmentInput = this.#options;
    const name = processOf(instance);
    const settings = {
      ...inherited(env),
      NODE_COMPILE_CACHE: layout.compileCacheDir,
      ...serviceEnvironment(instance, environment),
    };
    return this.#supervise(name, () =>
      launchService({ name, entry: serviceEntry(serviceOf(name)), env: settings, logDir: layout.logDir }),
    );
  }

  #supervise(name: ProcessName | "nats", launch: () => Promise<Launch>): SupervisedProcess {
    if (this.#stopping) throw new Error("the network is being stopped");
    const { layout, onReady, onProcessEvent } = this.#options;
    const supervised = new SupervisedProcess({
      name,
      launch,
      lastWords: () => lastWords(layout.logDir, name),
      onEvent: onProcessEvent,
    });
    this.#processes.set(name, supervised);
    supervised.ready.then(
      () => onReady(name),
      () => undefined,
    );
    return supervised;
  }

  async #stop(name: ProcessName | "nats"): Promise<void> {
    await this.#processes.get(name)?.[Symbol.asyncDispose]();
  }
}
