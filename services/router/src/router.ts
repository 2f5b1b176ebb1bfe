/**
 * A whole router, but for what a process adds (bus, gRPC, configuration): public port → mutual TLS → tunnels → switchboard.
 *
 * Who is let in, in this order: a workload of the trust domain by a handshake just now; while the deny-list is known to be current; not named by it;
 * within the limits.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { INITIAL_WINDOW_BYTES, WireCode, encodeGoaway } from "@sallyport/frame";
import type { SvidSource } from "@sallyport/identity";
import { MtlsError, createMtlsServer, type MtlsServer, type Peer } from "@sallyport/mtls";
import type { Hello } from "@sallyport/proto/tunnel";
import { PROTOCOL_VERSION } from "@sallyport/tunnel";
import { BuiltInStreams } from "./built-in/built-in-streams.ts";
import { QueueGuard } from "./domain/queue-guard.ts";
import { RouterTunnel } from "./domain/router-tunnel.ts";
import { Switchboard } from "./domain/switchboard.ts";
import { tunnelRefused, type Record } from "./events.ts";
import { resolveLimits } from "./limit-settings.ts";
import type { RouterLimits } from "./limits.ts";
import { EnrollmentPassthrough } from "./public-port/enrollment-passthrough.ts";
import { PublicPort, tunnelAlpn } from "./public-port/public-port.ts";
import { TokenBucket } from "./public-port/token-bucket.ts";
import { Splice } from "./splice/splice.ts";
import type { PolicyMirror } from "./store/policy-mirror.ts";
import type { PublishBlock } from "./subjects/audit-blocks.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface RouterOptions {
  readonly identity: SvidSource;
  readonly listen: HostPort;
  /** Enrollment's listener for workloads without an identity. */
  readonly enrollAddress: HostPort;
  /** Enrollment's mutually authenticated gRPC. */
  readonly enrollmentAddress: HostPort;
  readonly mirror: PolicyMirror;
  readonly record: Record;
  readonly publishBlock: PublishBlock;
  /** Streams and connections that broke without anyone having decided it. */
  readonly onTrouble?: (what: string, error: unknown) => void;
  readonly limits?: Partial<RouterLimits>;
}

type Refused = { readonly code: string; readonly reason: string; readonly wireCode: number };

export class Router implements AsyncDisposable {
  readonly switchboard: Switchboard;
  /** Of this boot, so that what a router said before is told from what it says now. */
  readonly epoch: number = randomBytes(6).readUIntBE(0, 6);
  readonly tlsGroups: Map<string, number> = new Map();
  readonly #options: RouterOptions;
  readonly #limits: RouterLimits;
  readonly #mtls: MtlsServer;
  readonly #port: PublicPort;
  readonly #recordable: TokenBucket;
  readonly #guard: QueueGuard;
  readonly #closing = new AbortController();
  readonly #unfollow: () => void;
  #unrecorded = 0;
  #address: AddressInfo | null = null;

  private constructor(options: RouterOptions) {
    this.#options = options;
    this.#limits = resolveLimits(options.limits ?? {});
    const { identity, mirror, publishBlock, enrollmentAddress, record, onTrouble = () => undefined } = options;
    const builtIns = new BuiltInStreams({
      mirror,
      publishBlock,
      enrollmentAddress,
      maxPerTunnel: this.#limits.maxBuiltInStreamsPerTunnel,
      onTrouble,
    });
    this.switchboard = new Switchboard({ policy: mirror.state, builtIns, record, limits: this.#limits });
    this.#guard = new QueueGuard(() => this.switchboard.tunnels, this.#limits.maxQueuedBytes);
    this.#unfollow = mirror.onChange((change) => this.switchboard.policyChanged(change));
    this.#mtls = createMtlsServer({
      identity,
      alpn: [tunnelAlpn],
      clientCertificate: "required",
      handshakeTimeoutMs: this.#limits.handshakeMs,
    });
    this.#recordable = new TokenBucket({
      perSecond: this.#limits.recordedRefusalsPerSecond,
      burst: this.#limits.recordedRefusalsPerSecond,
    });
    const passthrough = new EnrollmentPassthrough(options.enrollAddress, this.#limits);
    this.#port = new PublicPort(this.#limits, {
      tunnel: (socket, deadline) => this.#accept(socket, deadline),
      enrollment: (socket) => passthrough.relay(socket, this.#closing.signal),
      refused: (remoteAddress, reason) => this.#recordUnproven(remoteAddress, "UNPROVEN", reason),
    });
  }

  static async open(options: RouterOptions): Promise<Router> {
    const router = new Router(options);
    router.#address = await router.#port.listen(options.listen.host, options.listen.port);
    return router;
  }

  /** Where the public port is. */
  get address(): HostPort {
    return this.#address === null ? this.#options.listen : { host: this.#address.address, port: this.#address.port };
  }

  /** Why nobody is admitted and no dial allowed just now; empty when they are. */
  get notAdmittingBecause(): string {
    const freshness = this.#options.mirror.state.freshness();
    return freshness.kind === "fresh" ? "" : freshness.reason;
  }

  async #accept(carrier: Socket, deadline: AbortSignal): Promise<void> {
    const remoteAddress = carrier.remoteAddress ?? "";
    try {
      const { socket, peer } = await this.#mtls.accept(carrier, deadline);
      if (peer !== null) this.#admit(socket, peer, remoteAddress);
      else socket.destroy();
    } catch (error) {
      const code = error instanceof MtlsError ? error.code : "HANDSHAKE_TIMEOUT";
      this.#recordUnproven(remoteAddress, code, error instanceof Error ? error.message : "");
    }
  }

  #admit(socket: TLSSocket, peer: Peer, remoteAddress: string): void {
    const refused = this.#refusedBecause(peer);
    if (refused !== null) {
      const { code, reason, wireCode } = refused;
      this.#options.record(tunnelRefused({ remoteAddress, code, reason, peer, unrecorded: 0 }));
      return turnAway(socket, wireCode);
    }
    const group = peer.tlsGroup ?? "unknown";
    this.tlsGroups.set(group, (this.tlsGroups.get(group) ?? 0) + 1);
    const tunnel = new RouterTunnel({
      tunnelId: randomUUID(),
      carrier: socket,
      peer,
      remoteAddress,
      splice: new Splice(),
      owner: this.switchboard,
      hello: this.#hello(),
      helloMs: this.#limits.helloMs,
      maxStreams: this.#limits.maxStreamsPerTunnel,
      maxQueuedBytes: this.#limits.maxQueuedBytesPerTunnel,
    });
    this.switchboard.admit(tunnel);
  }

  #refusedBecause({ identity, ...rest }: Peer): Refused | null {
    const { state } = this.#options.mirror;
    if (identity.kind !== "workload")
      return refused("IDENTITY_DENIED", `A ${identity.kind} has no tunnels.`, WireCode.revoked);
    if (this.notAdmittingBecause !== "") return refused("HEAD_STALE", this.notAdmittingBecause, WireCode.internal);
    const entry = state.denied({ identity, ...rest });
    if (entry !== null) {
      const why = entry.reason === "" ? "" : `: ${entry.reason}`;
      return refused("IDENTITY_DENIED", `On the deny-list${why}`, WireCode.revoked);
    }
    const { tunnels } = this.switchboard;
    let own = 0;
    for (const { peer } of tunnels) if (peer.identity.id.uri === identity.id.uri) own += 1;
    if (tunnels.size >= this.#limits.maxTunnels || own >= this.#limits.maxTunnelsPerWorkload) {
      return refused("OVERLOADED", "Too many tunnels.", WireCode.limit);
    }
    return null;
  }

  #hello(): Hello {
    return {
      protocolVersion: PROTOCOL_VERSION,
      maxStreams: this.#limits.maxStreamsPerTunnel,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software: "sallyport-router/0.1.0",
      routerId: this.#options.identity.current().identity.id.uri,
      routerEpoch: this.epoch,
    };
  }

  /** Anyone can be refused here, as fast as they like: the record gets some of it, and the count of the rest. */
  #recordUnproven(remoteAddress: string, code: string, reason: string): void {
    if (!this.#recordable.take()) {
      this.#unrecorded += 1;
      return;
    }
    const unrecorded = this.#unrecorded;
    this.#unrecorded = 0;
    this.#options.record(tunnelRefused({ remoteAddress, code, reason, peer: null, unrecorded }));
  }

  /** Takes nothing new, gives what runs `drainGraceMs` to end, then ends it. */
  async drain(): Promise<void> {
    this.#port.stopListening();
    this.switchboard.drain();
    await this.switchboard.idle(AbortSignal.timeout(this.#limits.drainGraceMs));
    this.switchboard.closeTunnels();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
    this.#closing.abort();
    this.#unfollow();
    this.#guard[Symbol.dispose]();
    await this.#mtls[Symbol.asyncDispose]();
  }
}

function refused(code: string, reason: string, wireCode: number): Refused {
  return { code, reason, wireCode };
}

/** Says why in the only word that a peer understands before HELLO. */
function turnAway(socket: TLSSocket, wireCode: number): void {
  socket.on("error", () => undefined);
  socket.end(encodeGoaway(wireCode));
  socket.resume();
  void once(socket, "close", { signal: AbortSignal.timeout(1_000) }).catch(() => socket.destroy());
}
