import { createServer, type Server as TcpServer, type Socket } from "node:net";
import { Server, ServerCredentials, status, type ServiceDefinition } from "@grpc/grpc-js";
import type { SvidSource } from "@sallyport/identity";
import { createMtlsServer, type MtlsServer, type Peer } from "@sallyport/mtls";
import { AcceptedPeers } from "./accepted-peers.ts";
import { describeRule, mayCall, type Caller, type CallerRule } from "./caller-rule.ts";
import type { ListenAddress } from "./config.ts";
import { GrpcHealth } from "./grpc-health.ts";
import { STANDARD_SERVICES, addReflection } from "./grpc-reflection.ts";
import type { Logger } from "./logger.ts";
import { adaptImplementation, guardHandlers, type Admit } from "./rpc-adapter.ts";
import { RpcError } from "./rpc-error.ts";
import type { Implementation } from "./rpc-handler.ts";
import type { Methods } from "./rpc-method.ts";
import { ServiceError } from "./service-error.ts";

export interface GrpcServerOptions {
  readonly identity: SvidSource;
  readonly listen: ListenAddress;
  readonly log: Logger;
  /** Default `["h2"]`. */
  readonly alpn?: readonly string[];
  /** Default `required`. With `none` every caller is anonymous, and only methods with the rule `unauthenticated` can be called. */
  readonly clientCertificate?: "required" | "none";
  /** DER of roots that are trusted besides the bundle and mark a caller as a bootstrap credential. Default: none. */
  readonly bootstrapRoots?: () => readonly Buffer[];
  /** Sends the root after the own chain, for clients that know its fingerprint only. Default false. */
  readonly sendRoot?: boolean;
  /** How long a connection may last where nobody shows a certificate, whatever happens on it. Default 30,000. */
  readonly strangerMs?: number;
  /** Open connections at once. Default 256; further ones are closed unread. */
  readonly maxConnections?: number;
  /** Largest request. Default 4 MiB; a larger one fails with RESOURCE_EXHAUSTED before it is parsed. */
  readonly maxRequestBytes?: number;
  /** How long the caller of a stream may take none of its messages before the call fails with READER_STALLED. Default 30,000. */
  readonly stalledReaderMs?: number;
}

/** A connection older than this is asked to come again, so that both ends show fresh certificates. Running calls may finish. */
const MAX_CONNECTION_AGE_MS = 5 * 60_000;
/** Calls at once on one connection. */
const MAX_STREAMS = 100;
const DRAIN_GRACE_MS = 2_000;

/**
 * gRPC over mutual TLS.
 *
 * 1. A connection is handed to gRPC only after `createMtlsServer` accepted it.
 * 2. Every method of every service has a caller rule; health and reflection have `any`, and are not there for strangers.
 * 3. No connection outlives the leaf that opened it.
 */
export class GrpcServer implements AsyncDisposable {
  readonly health: GrpcHealth = new GrpcHealth();
  readonly #options: GrpcServerOptions;
  readonly #grpc: Server;
  readonly #mtls: MtlsServer;
  readonly #peers: AcceptedPeers = new AcceptedPeers();
  readonly #tcp: TcpServer;
  readonly #sockets = new Set<Socket>();
  readonly #services: string[] = [];
  readonly #closing = new AbortController();
  #port: Promise<number> | undefined;

  constructor(options: GrpcServerOptions) {
    const { bootstrapRoots = () => [] } = options;
    this.#options = options;
    this.#grpc = new Server({
      "grpc.max_connection_age_ms": MAX_CONNECTION_AGE_MS,
      "grpc.max_receive_message_length": options.maxRequestBytes ?? 4 * 1024 * 1024,
      "grpc.max_concurrent_streams": MAX_STREAMS,
      "grpc.enable_channelz": 0,
    });
    this.#mtls = createMtlsServer({
      identity: options.identity,
      alpn: options.alpn ?? ["h2"],
      clientCertificate: options.clientCertificate ?? "required",
      group: "any",
      extraTrust: bootstrapRoots,
      sendRoot: options.sendRoot ?? false,
    });
    this.#tcp = createServer((socket) => void this.#serve(socket));
    this.#tcp.maxConnections = options.maxConnections ?? 256;
  }

  /**
   * Adds a generated service. Every method needs a rule.
   * @throws ServiceError METHOD_WITHOUT_RULE
   */
  add<S extends Methods<S>>(
    service: S,
    implementation: Implementation<S>,
    authorize: Readonly<Record<keyof S, CallerRule>>,
  ): void {
    const rules = new Map<string, CallerRule>(Object.entries<CallerRule>(authorize));
    for (const name of Object.keys(service)) {
      if (rules.has(name)) continue;
      throw new ServiceError({ code: "METHOD_WITHOUT_RULE", message: `method ${name} has no caller rule` });
    }
    const admit: Admit = (call, method) => this.#admit(call, rules.get(method));
    const { log, stalledReaderMs = 30_000 } = this.#options;
    const onFailure = (method: string, error: unknown): void => {
      if (!(error instanceof RpcError)) log.error({ err: error, method }, "a call failed");
    };
    const { definition, handlers } = adaptImplementation(service, implementation, {
      admit,
      onFailure,
      stalledReaderMs,
    });
    this.#grpc.addService(definition, handlers);
    for (const name of serviceNames(definition)) {
      this.#services.push(name);
      this.health.cover(name);
    }
  }

  /** Starts to listen; a second call returns the same port. @throws ServiceError LISTEN_FAILED */
  listen(): Promise<number> {
    this.#port ??= this.#listen();
    return this.#port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.health.stopServing();
    this.#closing.abort();
    this.#tcp.close();
    const forced = setTimeout(() => this.#grpc.forceShutdown(), DRAIN_GRACE_MS);
    await new Promise<void>((resolve) => this.#grpc.tryShutdown(() => resolve()));
    clearTimeout(forced);
    for (const socket of this.#sockets) socket.destroy();
    await this.#mtls[Symbol.asyncDispose]();
  }

  #listen(): Promise<number> {
    this.#addStandardServices();
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#tcp.once("error", (cause) => {
        reject(
          new ServiceError({
            code: "LISTEN_FAILED",
            message: `cannot listen on ${host}:${port}`,
            remedy: "Stop whatever uses the port, or choose another one.",
            cause,
          }),
        );
      });
      this.#tcp.listen(port, host, () => {
        const address = this.#tcp.address();
        resolve(typeof address === "object" && address !== null ? address.port : port);
      });
    });
  }

  #addStandardServices(): void {
    // A stranger gets what is meant for strangers, and nothing to look around with.
    if (this.#options.clientCertificate === "none") return;
    addReflection([...this.#services, ...STANDARD_SERVICES], (definition, handlers) => {
      this.#grpc.addService(
        definition,
        guardHandlers(handlers, (call) => this.#admit(call, "any")),
      );
    });
    const { service, implementation } = this.health;
    this.add(service, implementation, { check: "any", watch: "any" });
  }

  #admit(call: Parameters<Admit>[0], rule: CallerRule | undefined): Caller {
    const caller = this.#peers.callerOf(call.getAuthContext());
    if (rule !== undefined && mayCall(rule, caller)) return caller;
    const who = caller.kind === "anonymous" ? "An anonymous caller" : caller.peer.identity.id.uri;
    throw new RpcError({
      code: "CALLER_NOT_ALLOWED",
      status: status.PERMISSION_DENIED,
      message: `${who}${caller.kind === "bootstrap" ? " (bootstrap credential)" : ""} may not call ${call.getPath()}.`,
      remedy: `The method is for ${rule === undefined ? "nobody" : describeRule(rule)}.`,
    });
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
    try {
      const accepted = await this.#mtls.accept(socket, this.#closing.signal);
      if (accepted.peer === null) this.#holdUntil(socket, Date.now() + (this.#options.strangerMs ?? 30_000));
      else this.#hold(socket, accepted.socket.getPeerCertificate().raw, accepted.peer);
      this.#injector().injectConnection(accepted.socket);
    } catch (error) {
      this.#options.log.debug({ err: error, remote: socket.remoteAddress }, "a connection was refused");
      socket.destroy();
    }
  }

  /** Invariant 3, and the peer's entry for as long as the connection lives. */
  #hold(socket: Socket, leaf: Uint8Array, peer: Peer): void {
    socket.once("close", this.#peers.add(leaf, peer));
    this.#holdUntil(socket, peer.notAfter.getTime());
  }

  #holdUntil(socket: Socket, endUnixMs: number): void {
    const expiry = setTimeout(() => socket.destroy(), Math.min(endUnixMs - Date.now(), MAX_TIMER_MS));
    expiry.unref();
    socket.once("close", () => clearTimeout(expiry));
  }

  #connectionInjector: ReturnType<Server["createConnectionInjector"]> | undefined;
  #injector(): ReturnType<Server["createConnectionInjector"]> {
    this.#connectionInjector ??= this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    return this.#connectionInjector;
  }
}

/** A longer timer fires at once (Node's limit is 2^31 - 1 ms); connections are renewed long before. */
const MAX_TIMER_MS = 2_147_483_647;

function serviceNames(definition: ServiceDefinition): readonly string[] {
  const names = Object.values(definition).map(({ path }) => path.slice(1, path.lastIndexOf("/")));
  return [...new Set(names)];
}
