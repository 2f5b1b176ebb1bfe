/**
 * A whole router, but for what a process adds (bus, gRPC, configuration): public port → mutual TLS → tunnels → switchboard.
 *
 * Who is let in, in this order: a workload of the trust domain by a handshake just now; while the deny-list is known to be current; not named by it;
 * within the limits.
 */
import { randomBytes, randomUUID } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { INITIAL_WINDOW_BYTES, WireCode } from "@sallyport/frame";
import type { SvidSource } from "@sallyport/identity";
import { MtlsError, createMtlsServer, type MtlsServer, type Peer } from "@sallyport/mtls";
import type { Hello } from "@sallyport/proto/tunnel";
import { PROTOCOL_VERSION } from "@sallyport/tunnel";
import { BuiltInStreams } from "./built-in/built-in-streams.ts";
import { Counters } from "./domain/counters.ts";
import { Drain, type Drainable } from "./domain/drain.ts";
import { QueueGuard, type Queueing } from "./domain/queue-guard.ts";
import { RouterTunnel } from "./domain/router-tunnel.ts";
import { Switchboard } from "./domain/switchboard.ts";
import { tunnelRefused, type Record } from "./events.ts";
import { resolveLimits } from "./limit-settings.ts";
import type { RouterLimits } from "./limits.ts";
import { HostWatch } from "./health/host-watch.ts";
import { EnrollmentPassthrough } from "./public-port/enrollment-passthrough.ts";
import { Links } from "./link/links.ts";
import { limitBehind } from "./public-port/port-refusal.ts";
import { PublicPort, tunnelAlpn } from "./public-port/public-port.ts";
import { TokenBucket } from "./public-port/token-bucket.ts";
import { turnAway } from "./public-port/turn-away.ts";
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
  /** Whether several processes share the address of `listen`. Default: no. */
  readonly reusePort?: boolean;
  /** A port for links alone: needed where several routers share one public port. Default: links come in by the public port. */
  readonly linkListen?: HostPort | null;
  /** Enrollment's listener for workloads without an identity. */
  readonly enrollAddress: HostPort;
  /** Enrollment's mutually authenticated gRPC. */
  readonly enrollmentAddress: HostPort;
  readonly mirror: PolicyMirror;
  readonly record: Record;
  readonly publishBlock: PublishBlock;
  /** Streams and connections that broke without anyone having decided it. */
  readonly onTrouble?: (what: string, error: unknown) => void;
  /** How late the event loop runs, on average over a second. Default: never late. */
  readonly loopDelayMs?: () => number;
  readonly limits?: Partial<RouterLimits>;
}

interface Refused {
  readonly code: string;
  readonly reason: string;
  readonly wireCode: number;
}

export class Router implements AsyncDisposable {
  readonly switchboard: Switchboard;
  readonly links: Links;
  readonly counters: Counters = new Counters();
  readonly drain: Drain;
  /** Of this boot, so that what a router said before is told from what it says now. */
  readonly epoch: number = randomBytes(6).readUIntBE(0, 6);
  readonly tlsGroups: Map<string, number> = new Map();
  readonly #options: RouterOptions;
  readonly #limits: RouterLimits;
  readonly #mtls: MtlsServer;
  readonly #port: PublicPort;
  readonly #linkPort: PublicPort | null;
  readonly #recordable: TokenBucket;
  readonly #guard: QueueGuard;
  readonly #hostWatch: HostWatch;
  readonly #closing = new AbortController();
  readonly #unfollow: () => void;
  #unrecorded = 0;
  #address: AddressInfo | null = null;
  #linkAddress: AddressInfo | null = null;

  private constructor(options: RouterOptions) {
    this.#options = options;
    this.#limits = resolveLimits(options.limits ?? {});
    const { identity, mirror, publishBlock, enrollmentAddress, record, onTrouble = () => undefined } = options;
    const builtIns = new BuiltInStreams({
      mirror,
      publishBlock,
      enrollmentAddress,
      maxPerTunnel: this.#limits.maxBuiltInStreamsPerTunnel,
      onShed: () => this.counters.shedBy("maxBuiltInStreamsPerTunnel"),
      onTrouble,
    });
    const { loopDelayMs = () => 0 } = options;
    const overloaded = (): boolean => loopDelayMs() > this.#limits.overloadDelayMs;
    this.switchboard = new Switchboard({
      policy: mirror.state,
      builtIns,
      record,
      counters: this.counters,
      limits: this.#limits,
      overloaded,
    });
    this.#hostWatch = new HostWatch({ hosts: this.switchboard.hosts, record, limits: this.#limits });
    this.links = new Links({
      identity,
      policy: mirror.state,
      hosts: this.switchboard.hosts,
      dialing: this.switchboard.dialing,
      record,
      counters: this.counters,
      limits: this.#limits,
      overloaded,
      routerEpoch: this.epoch,
      hello: () => this.#hello(this.#limits.maxStreamsPerLink),
      onTrouble,
    });
    this.drain = new Drain(this.#drainable(), record);
    const queues = (): Iterable<Queueing> => [...this.switchboard.tunnels, ...this.links.tunnels];
    this.#guard = new QueueGuard(queues, this.#limits.maxQueuedBytes);
    this.#unfollow = mirror.onChange((change) => {
      this.switchboard.policyChanged(change);
      this.links.policyChanged(change);
    });
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
    const link = async (socket: Socket, deadline: AbortSignal): Promise<void> => this.links.accept(socket, deadline);
    const hasLinkPort = options.linkListen != null;
    const guards = {
      overloaded,
      refused: (remoteAddress: string, reason: string): void => {
        const limit = limitBehind(reason);
        if (limit !== null) this.counters.shedBy(limit);
        this.#recordUnproven(remoteAddress, "UNPROVEN", reason);
      },
    };
    this.#port = new PublicPort(this.#limits, {
      ...guards,
      tunnel: (socket, deadline) => this.#accept(socket, deadline),
      link: hasLinkPort ? null : link,
      enrollment: (socket) => passthrough.relay(socket, this.#closing.signal),
    });
    this.#linkPort = hasLinkPort
      ? new PublicPort(this.#limits, { ...guards, tunnel: null, link, enrollment: null })
      : null;
  }

  static async open(options: RouterOptions): Promise<Router> {
    const router = new Router(options);
    const { listen, linkListen, reusePort = false } = options;
    router.#address = await router.#port.listen({ ...listen, reusePort }, "SALLYPORT_ROUTER_LISTEN");
    if (linkListen != null && router.#linkPort !== null)
      router.#linkAddress = await router.#linkPort.listen({ ...linkListen, reusePort: false }, "SALLYPORT_LINK_LISTEN");
    return router;
  }

  /** Where the public port is. */
  get address(): HostPort {
    return this.#address === null ? this.#options.listen : { host: this.#address.address, port: this.#address.port };
  }

  get routerId(): string {
    return this.#options.identity.current().identity.id.uri;
  }

  /** Where links come in. */
  get linkAddress(): HostPort {
    return this.#linkAddress === null
      ? this.address
      : { host: this.#linkAddress.address, port: this.#linkAddress.port };
  }

  /** Why nobody is admitted and no dial allowed just now; empty when they are. */
  get notAdmittingBecause(): string {
    if (this.drain.phase.kind !== "serving")
      return `it ${this.drain.phase.kind === "draining" ? "drains" : "has drained"}`;
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
      this.counters.tunnelsRefused += 1;
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
      splice: new Splice(this.counters.relay),
      owner: this.switchboard,
      hello: this.#hello(this.#limits.maxStreamsPerTunnel),
      helloMs: this.#limits.helloMs,
      maxStreams: this.#limits.maxStreamsPerTunnel,
      maxQueuedBytesPerStream: this.#limits.maxQueuedBytesPerStream,
      maxQueuedBytes: this.#limits.maxQueuedBytesPerTunnel,
    });
    this.switchboard.admit(tunnel);
  }

  #refusedBecause({ identity, ...rest }: Peer): Refused | null {
    const { state } = this.#options.mirror;
    if (identity.kind !== "workload")
      return refused("IDENTITY_DENIED", `A ${identity.kind} has no tunnels.`, WireCode.revoked);
    if (this.drain.phase.kind !== "serving")
      return refused("DRAINING", "This router takes nothing new: it drains.", WireCode.unavailable);
    if (this.notAdmittingBecause !== "") return refused("HEAD_STALE", this.notAdmittingBecause, WireCode.unavailable);
    const entry = state.denied({ identity, ...rest });
    if (entry !== null) {
      const why = entry.reason === "" ? "" : `: ${entry.reason}`;
      return refused("IDENTITY_DENIED", `On the deny-list${why}`, WireCode.revoked);
    }
    return this.#fullBecause(identity.id.uri);
  }

  #fullBecause(spiffeId: string): Refused | null {
    const { maxTunnels, maxTunnelsPerIdentity } = this.#limits;
    const { tunnels } = this.switchboard;
    if (tunnels.countOf({ kind: "instance", value: spiffeId }) >= maxTunnelsPerIdentity) {
      this.counters.shedBy("maxTunnelsPerIdentity");
      return refused("OVERLOADED", `This identity has ${maxTunnelsPerIdentity} tunnels already.`, WireCode.limit);
    }
    if (tunnels.size >= maxTunnels) {
      this.counters.shedBy("maxTunnels");
      return refused("OVERLOADED", `This router has ${maxTunnels} tunnels already.`, WireCode.unavailable);
    }
    return null;
  }

  #hello(maxStreams: number): Hello {
    return {
      protocolVersion: PROTOCOL_VERSION,
      maxStreams,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software: "sallyport-router/0.1.0",
      routerId: this.routerId,
      routerEpoch: this.epoch,
    };
  }

  /** Anyone can be refused here, as fast as they like: the record gets some of it, and the count of the rest. */
  #recordUnproven(remoteAddress: string, code: string, reason: string): void {
    this.counters.tunnelsRefused += 1;
    if (!this.#recordable.take()) {
      this.#unrecorded += 1;
      return;
    }
    const unrecorded = this.#unrecorded;
    this.#unrecorded = 0;
    this.#options.record(tunnelRefused({ remoteAddress, code, reason, peer: null, unrecorded }));
  }

  #drainable(): Drainable {
    const { switchboard, links } = this;
    return {
      stopTaking: () => {
        this.#port.stopListening();
        this.#linkPort?.stopListening();
        switchboard.stopTaking();
        links.drain();
      },
      get running() {
        return switchboard.running;
      },
      whenIdle: (callback) => switchboard.whenIdle(callback),
      endAll: () => {
        switchboard.endAll();
        links.close();
      },
    };
  }

  /** A drain of `drainGraceMs`, or what is left of one that was ordered before. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { phase } = this.drain;
    const graceMs = this.#limits.drainGraceMs;
    const leftMs = phase.kind === "draining" ? phase.facts.deadlineUnixMs - Date.now() : graceMs;
    const askedBy = this.#options.identity.current();
    this.drain.order({ deadlineMs: Math.min(graceMs, Math.max(0, leftMs)), askedBy, reason: "The process stops." });
    await this.drain.over;
    await this.links[Symbol.asyncDispose]();
    this.#closing.abort();
    this.#unfollow();
    this.#guard[Symbol.dispose]();
    this.#hostWatch[Symbol.dispose]();
    await this.#mtls[Symbol.asyncDispose]();
  }
}

function refused(code: string, reason: string, wireCode: number): Refused {
  return { code, reason, wireCode };
}
