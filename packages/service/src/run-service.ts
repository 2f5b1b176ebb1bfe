import { actorFacts } from "@sallyport/audit-log";
import { busId, routerId, serviceId, type SpiffeId } from "@sallyport/identity";
import { openAuditEmitter } from "./audit-publisher.ts";
import { loadBootstrap, readKeyEncryptionKey } from "./bootstrap.ts";
import { Bus } from "./bus.ts";
import { processEnvironment, type ServiceConfig } from "./config.ts";
import { GrpcServer, type GrpcServerOptions } from "./grpc-server.ts";
import { createLogger, type Logger } from "./logger.ts";
import { Readiness } from "./readiness.ts";
import type { Runtime, ServiceName } from "./runtime.ts";
import { ServiceError } from "./service-error.ts";
import { stopOnRequest, tellSupervisor } from "./supervisor-channel.ts";
import { remoteIssuer, type SvidIssuer } from "./svid-issuer.ts";
import { SvidRenewal } from "./svid-renewal.ts";

export interface ServiceDefinition<C extends ServiceConfig> {
  readonly name: ServiceName;
  /** @throws ServiceError CONFIG_INVALID */
  readonly readConfig: (env: NodeJS.ProcessEnv) => C;
  /** Puts the service together. What it returns is disposed of first when the process stops. */
  readonly start: (runtime: Runtime<C>) => Promise<AsyncDisposable>;
  /** Who issues the own SVIDs. Default: the CA, asked by the bootstrap credential. The CA itself issues for itself. */
  readonly issuer?: (boot: {
    readonly config: C;
    readonly log: Logger;
    readonly signal: AbortSignal;
  }) => Promise<SvidIssuer>;
  /** Settings of the gRPC server beyond the common ones. */
  readonly grpc?: (
    config: C,
  ) => Partial<Pick<GrpcServerOptions, "bootstrapRoots" | "maxConnections" | "maxRequestBytes">>;
}

/** The whole life of a service's process: `main.ts` is this call. */
export async function runService<C extends ServiceConfig>(definition: ServiceDefinition<C>): Promise<void> {
  const stop = new AbortController();
  stopOnRequest(stop);
  let log: Logger | undefined;
  try {
    const config = definition.readConfig(processEnvironment());
    log = createLogger({ name: definition.name, instance: config.instance, level: config.logLevel });
    await runUntilStopped(definition, config, log, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return;
    process.exitCode = 1;
    (log ?? createLogger({ name: definition.name, instance: "", level: "info" })).fatal(
      { err: error, remedy: remedyOf(error) },
      "the service failed",
    );
    if (process.connected) process.disconnect();
  }
}

async function runUntilStopped<C extends ServiceConfig>(
  definition: ServiceDefinition<C>,
  config: C,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { name } = definition;
  const readiness = new Readiness();
  // Taken before anybody is told: a process that has not begun is not ready.
  const starting = readiness.block("start");
  readiness.onChange((state) => tellSupervisor(state));
  await using owned = new AsyncDisposableStack();
  owned.use(keepAlive());

  const identityBlock = readiness.block("SVID from ca");
  const issue = await openIssuer(definition, config, log, signal, owned);
  const ownId = spiffeIdOf(name, config);
  const open = (bus: boolean, id: SpiffeId): Promise<SvidRenewal> =>
    SvidRenewal.open({ issue, bus, uri: id.uri, log, signal });
  const [own, onBus] = await Promise.all([open(false, ownId), open(true, busId(config.trustDomain, name))]);
  owned.use(own);
  owned.use(onBus);
  identityBlock[Symbol.dispose]();

  const bus = owned.use(new Bus({ url: config.natsUrl, identity: onBus.source, role: name, log }));
  const audit = owned.use(
    await openAuditEmitter({ role: name, stateDir: config.stateDir, identity: own.source, bus, log }),
  );
  const grpc = owned.use(
    new GrpcServer({ identity: own.source, listen: config.grpcListen, log, ...definition.grpc?.(config) }),
  );
  grpc.health.follow(readiness);

  owned.use(await definition.start({ config, log, identity: own.source, bus, audit, readiness, grpc, signal }));
  const port = await grpc.listen();
  tellSupervisor({ kind: "listening", address: `${config.grpcListen.host}:${port}` });
  audit.record({ kind: "service.started", ...actorFacts(own.source.current()), outcome: "ok" });
  log.info({ id: ownId.uri, grpc: `${config.grpcListen.host}:${port}` }, "started");
  starting[Symbol.dispose]();

  await aborted(signal);
  log.info("stopping");
  audit.record({ kind: "service.stopped", ...actorFacts(own.source.current()), outcome: "ok" });
  if (process.connected) process.disconnect();
}

async function openIssuer<C extends ServiceConfig>(
  definition: ServiceDefinition<C>,
  config: C,
  log: Logger,
  signal: AbortSignal,
  owned: AsyncDisposableStack,
): Promise<SvidIssuer> {
  if (definition.issuer !== undefined) return await definition.issuer({ config, log, signal });
  const keyEncryptionKey = await readKeyEncryptionKey(config.keyEncryptionKeyFile);
  const bootstrap = await loadBootstrap({
    dir: config.bootstrapDir,
    trustDomain: config.trustDomain,
    keyEncryptionKey,
  });
  return owned.use(remoteIssuer({ caAddress: config.caAddress, bootstrap }));
}

/** A router's ID names the router; every other service has one per instance. */
function spiffeIdOf(name: ServiceName, { trustDomain, instance }: ServiceConfig): SpiffeId {
  return name === "router" ? routerId(trustDomain, instance) : serviceId(trustDomain, name, instance);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Holds the process until everything was taken down: what is waited for on the way may hold nothing itself. */
function keepAlive(): Disposable {
  const timer = setInterval(() => undefined, 2 ** 30);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function remedyOf(error: unknown): string | undefined {
  return error instanceof ServiceError ? error.remedy : undefined;
}
