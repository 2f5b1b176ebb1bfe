import { once } from "node:events";
import { TLSSocket, type PeerCertificate } from "node:tls";
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream";
import { Kvm, type KV, type KvOptions } from "@nats-io/kv";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { checkLeaf, pemOf, type SvidSource } from "@sallyport/identity";
import { retry } from "./backoff.ts";
import type { Logger } from "./logger.ts";
import { RequestGate } from "./request-gate.ts";
import { ServiceError } from "./service-error.ts";

export interface BusOptions {
  /** `tls://host:port`. */
  readonly url: string;
  /** `/bus/<role>`. */
  readonly identity: SvidSource;
  /** Replies come to `_INBOX_<role>`, which the server lets nobody else read. */
  readonly role: string;
  readonly log: Logger;
}

const ATTEMPTS = { firstMs: 100, maxMs: 2_000 };
/** After this long a rotation counts as an outage. */
const ROTATION_TIMEOUT_MS = 10_000;

/**
 * The connection to NATS, made in the background and made again for ever.
 *
 * 1. Each connection shows the certificate that is current when it is made; a rotation makes a new one, which no request notices.
 * 2. The server is recognized by its SPIFFE ID `/service/nats/...`, not by a host name.
 */
export class Bus implements AsyncDisposable {
  readonly #options: BusOptions;
  readonly #stop = new AbortController();
  readonly #first: Promise<NatsConnection>;
  readonly #gate = new RequestGate();
  readonly #reconnected = new EventTarget();
  #connection: NatsConnection | undefined;
  #connected = false;

  constructor(options: BusOptions) {
    this.#options = options;
    this.#first = this.#connect();
    // Whoever needs the connection awaits `ready`; a bus that never came is no fault of those who do not.
    this.#first.catch(() => {});
    options.identity.onRotate(() => void this.#gate.rotate(() => this.#reconnect()));
  }

  /** @throws ServiceError BUS_UNAVAILABLE before the first connection: await `ready` where that can be. */
  get connection(): NatsConnection {
    if (this.#connection !== undefined) return this.#connection;
    throw new ServiceError({
      code: "BUS_UNAVAILABLE",
      message: "the bus was never connected",
      remedy: "Check that nats-server runs.",
    });
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** The TLS group of the connection that is open now; empty when there is none. NATS 2.9.10 negotiates none that is post-quantum. */
  get tlsGroup(): string {
    return this.#connection === undefined ? "" : negotiatedGroup(this.#connection);
  }

  /** The connection, once there was one. Afterwards it reconnects by itself. */
  async ready(signal?: AbortSignal): Promise<NatsConnection> {
    if (signal === undefined) return await this.#first;
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.#first, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** @throws ServiceError BUS_UNAVAILABLE before the first connection. */
  jetstream(): JetStreamClient {
    return jetstream(this.connection);
  }

  /** Waits for the first connection. */
  async jetstreamManager(signal?: AbortSignal): Promise<JetStreamManager> {
    return await jetstreamManager(await this.ready(signal), { checkAPI: false });
  }

  /**
   * A key-value bucket.
   * @param options.create its owner's settings: the bucket is made when it does not exist. Without them the owner is waited for.
   */
  async kv(
    bucket: string,
    options: { readonly create?: Partial<KvOptions>; readonly signal?: AbortSignal } = {},
  ): Promise<KV> {
    const signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal]);
    const { create } = options;
    const open = async (): Promise<KV> => {
      const manager = await this.jetstreamManager(signal);
      const buckets = new Kvm(jetstream(this.connection));
      if (create !== undefined) return await buckets.create(bucket, create);
      const { config } = await manager.streams.info(`KV_${bucket}`);
      return await buckets.open(bucket, { allow_direct: config.allow_direct });
    };
    return await retry(open, {
      ...ATTEMPTS,
      signal,
      onFailure: (error) => this.#options.log.debug({ err: error, bucket }, "the bucket is not there yet"),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new ServiceError({ code: "BUS_UNAVAILABLE", message: "the bus connection was closed" }));
    await this.#connection?.close();
  }

  async #connect(): Promise<NatsConnection> {
    const { url, identity, role, log } = this.#options;
    const tls = {
      get cert() {
        return pemOf(identity.current().certificateChain);
      },
      get key() {
        return identity.current().privateKey.export({ type: "pkcs8", format: "pem" }).toString();
      },
      get ca() {
        return pemOf(identity.bundle().roots);
      },
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => refuseOtherServers(certificate, identity),
    };
    const connection = await retry(
      () =>
        connect({
          servers: url,
          name: identity.current().identity.id.uri,
          inboxPrefix: `_INBOX_${role}`,
          tls,
          maxReconnectAttempts: -1,
          reconnectTimeWait: 100,
          reconnectJitterTLS: 250,
          timeout: 5_000,
          pingInterval: 10_000,
          ignoreClusterUpdates: true,
        }),
      {
        ...ATTEMPTS,
        signal: this.#stop.signal,
        onFailure: (error) => log.debug({ err: error }, "the bus is not there yet"),
      },
    );
    this.#gate.guard(connection);
    this.#connection = connection;
    this.#connected = true;
    void this.#watch(connection);
    return connection;
  }

  async #watch(connection: NatsConnection): Promise<void> {
    const { log } = this.#options;
    for await (const event of connection.status()) {
      if (event.type === "disconnect" || event.type === "close") this.#connected = false;
      if (event.type === "reconnect") {
        this.#connected = true;
        this.#reconnected.dispatchEvent(new Event("reconnect"));
      }
      if (event.type === "error") log.error({ err: event.error }, "the bus refused something");
      else log.debug({ type: event.type }, "bus");
    }
  }

  async #reconnect(): Promise<void> {
    if (this.#connection === undefined || !this.#connected) return;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ROTATION_TIMEOUT_MS)]);
    const reconnected = once(this.#reconnected, "reconnect", { signal });
    try {
      await Promise.all([reconnected, this.#connection.reconnect()]);
    } catch (error) {
      this.#options.log.debug({ err: error }, "the bus is away; the next connection shows the new certificate");
    }
  }
}

/** The shape that Node's TLS asks for: an error instead of a throw. The path was checked by OpenSSL. */
function refuseOtherServers(certificate: PeerCertificate, source: SvidSource): Error | undefined {
  try {
    const { identity } = checkLeaf(certificate.raw);
    const own = source.current().identity.id.trustDomain;
    if (identity.kind === "service" && identity.name === "nats" && identity.id.trustDomain === own) return undefined;
    return new Error(`${identity.id.uri} is not the bus`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The client library keeps its socket to itself: read where it is in this version, and unknown where it is not. */
function negotiatedGroup(connection: NatsConnection): string {
  const socket = ["protocol", "transport", "socket"].reduce<unknown>(memberOf, connection);
  if (!(socket instanceof TLSSocket)) return "";
  const info = socket.getEphemeralKeyInfo();
  return info !== null && "name" in info && typeof info.name === "string" ? info.name : "";
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value ? Reflect.get(value, name) : undefined;
}
