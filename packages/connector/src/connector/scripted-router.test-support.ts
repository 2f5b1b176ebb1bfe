import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { encodeGoaway, WireCode } from "@sallyport/frame";
import { identityOf, parseSpiffeId, routerId } from "@sallyport/identity";
import { createMtlsServer, type MtlsServer, type Peer } from "@sallyport/mtls";
import { Block, type Event, Event as EventCodec } from "@sallyport/proto/audit";
import {
  AuditAck,
  AuditPublish,
  PolicyInterest,
  PolicyUpdate,
  Refusal,
  type Control,
  type HostAnnounce,
  type StreamAccept,
  StreamOpen,
} from "@sallyport/proto/tunnel";
import type { TestAuthority } from "@sallyport/testing";
import {
  readMessage,
  Tunnel,
  TunnelError,
  writeMessage,
  type IncomingStream,
  type TunnelStream,
} from "@sallyport/tunnel";
import type { PolicyEnvelope, TestPolicy } from "../test-policy.test-support.ts";

/** The two streams that a router joins to a circuit, both accepted. */
export interface JoinedStreams {
  /** As the host was told it. */
  readonly open: StreamOpen;
  readonly dialer: TunnelStream;
  readonly host: TunnelStream;
}

/** How a router may depart from the truth. */
export interface RouterScript {
  /** Every dial goes through, whatever policy says. */
  readonly allowsAll?: boolean;
  /** The name of the workload that is asked, in place of a host of the service. */
  readonly asks?: (open: StreamOpen) => string;
  /** What the host is told of a dial. */
  readonly tellHost?: (open: StreamOpen) => Partial<StreamOpen>;
  /** What the dialer is told of its host. */
  readonly tellDialer?: (accept: StreamAccept) => Partial<StreamAccept>;
  /** What becomes of a circuit's two streams. Default: bytes, ends and resets pass as they are. */
  readonly relay?: (streams: JoinedStreams) => void;
  /** Which of the envelopes of policy a workload gets. Default: all. */
  readonly tellPolicy?: (envelopes: readonly PolicyEnvelope[], workload: string) => readonly PolicyEnvelope[];
  /** Nobody is let in: each is told that it is revoked. */
  readonly turnsAway?: boolean;
  /** Services that it says are gone, each time after what it tells of policy. */
  readonly saysGone?: readonly string[];
  /** Nobody may host here. */
  readonly refusesHosts?: boolean;
  /** Takes blocks of the record and acknowledges none. */
  readonly keepsBlocks?: boolean;
  /** Every dial is refused so, before policy is asked. */
  readonly refusesDials?: string;
  readonly onEnrollment?: (stream: TunnelStream) => void;
}

export interface RouterPlace {
  /** The name in its SPIFFE ID. Default `r1`. */
  readonly name?: string;
  /** Listens on this port beside others (SO_REUSEPORT). Default: on a free one alone. */
  readonly sharedPort?: number;
}

interface Attached {
  readonly tunnel: Tunnel;
  readonly peer: Peer;
  readonly hosts: Set<string>;
}

/** A router in a test's process: real TLS, real tunnels, a splice by pipes, and no decision of its own but what policy envelopes say. */
export class ScriptedRouter implements AsyncDisposable {
  readonly address: string;
  readonly id: string;
  readonly events: Event[] = [];
  /** Offers to host, as they came. */
  readonly announced: HostAnnounce[] = [];
  readonly #server: Server;
  readonly #mtls: MtlsServer;
  readonly #policy: TestPolicy;
  readonly #script: RouterScript;
  readonly #attached = new Set<Attached>();
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<() => void>();
  readonly #farEnds: Tunnel[] = [];
  #link: Tunnel | undefined;
  #circuits = 0;
  /** Else whoever comes is told to try another router. */
  admits = true;
  /** Tunnels that were ever open. */
  tunnelsSeen = 0;
  /** Handshakes of whoever left before the hello. */
  looksSeen = 0;
  /** Dials that arrived. */
  dialsSeen = 0;

  private constructor(server: Server, mtls: MtlsServer, policy: TestPolicy, script: RouterScript, id: string) {
    this.id = id;
    this.#server = server;
    this.#mtls = mtls;
    this.#policy = policy;
    this.#script = script;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (socket) => void this.#onConnection(socket).catch(() => socket.destroy()));
  }

  static async start(
    authority: TestAuthority,
    policy: TestPolicy,
    script: RouterScript = {},
    { name = "r1", sharedPort }: RouterPlace = {},
  ): Promise<ScriptedRouter> {
    const id = routerId(authority.trustDomain, name);
    const identity = await authority.source(id);
    const mtls = createMtlsServer({ identity, alpn: ["sallyport/1"], clientCertificate: "required" });
    const server = createServer();
    server.listen({ port: sharedPort ?? 0, host: "127.0.0.1", reusePort: sharedPort !== undefined });
    await once(server, "listening");
    return new ScriptedRouter(server, mtls, policy, script, id.uri);
  }

  /** Tunnels that are open just now. */
  get tunnels(): readonly Tunnel[] {
    return [...this.#attached].map(({ tunnel }) => tunnel);
  }

  /** The tunnel of the workload of that name. */
  tunnelOf(name: string): Tunnel {
    const found = [...this.#attached].find((one) => nameOf(one) === name);
    if (found === undefined) throw new Error(`${name} has no tunnel`);
    return found.tunnel;
  }

  /** From now on a dial that has no host here goes to `far`: over one tunnel between the two, as a link is. */
  linkTo(far: ScriptedRouter): void {
    const [here, there] = duplexPair();
    this.#link = new Tunnel(here, { side: "workload", software: "scripted" });
    const onOpen = (incoming: IncomingStream): void => void far.#onLinkDial(incoming).catch(() => undefined);
    far.#farEnds.push(new Tunnel(there, { side: "router", software: "scripted", routerId: far.id, onOpen }));
  }

  /** Services that somebody hosts just now. */
  get hosted(): ReadonlySet<string> {
    return new Set([...this.#attached].flatMap(({ hosts }) => [...hosts]));
  }

  /** Admits nobody, takes nothing new, and lets what runs go on. */
  drain(): void {
    this.admits = false;
    for (const { tunnel } of this.#attached) tunnel.drain();
  }

  /** Listens no more, and cuts every connection. */
  stop(): void {
    this.#server.close();
    this.crash();
    this.#link?.abort(WireCode.none);
    for (const link of this.#farEnds) link.abort(WireCode.none);
  }

  /** Cuts every connection, as a crash would. */
  crash(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Resolves when the condition holds, looked at after everything that happens here. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#watchers.add(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#mtls[Symbol.asyncDispose]();
  }

  async #onConnection(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const { socket: carrier, peer } = await this.#mtls.accept(socket);
    if (peer === null) return;
    if (this.#script.turnsAway === true || !this.admits) {
      carrier.on("error", () => undefined);
      carrier.end(encodeGoaway(this.admits ? WireCode.revoked : WireCode.unavailable));
      return;
    }
    const hosts = new Set<string>();
    const attached: { self?: Attached } = {};
    const tunnel = new Tunnel(carrier, {
      side: "router",
      software: "scripted",
      routerId: this.id,
      onOpen: (incoming) => void this.#onOpen(incoming, peer).catch(() => undefined),
      onControl: (message) => attached.self && this.#onControl(message, attached.self),
    });
    attached.self = { tunnel, peer, hosts };
    // Whoever only looks who is here, and wants another router, leaves before the hello.
    if ((await tunnel.hello.catch(() => undefined)) === undefined) {
      this.looksSeen += 1;
      return;
    }
    this.#attached.add(attached.self);
    this.tunnelsSeen += 1;
    this.#changed();
    await tunnel.closed;
    this.#attached.delete(attached.self);
    this.#changed();
  }

  #onControl({ message }: Control, attached: Attached): void {
    if (message?.$case === "hostAnnounce") {
      const { service } = message.value;
      this.announced.push(message.value);
      const decision = this.#policy.decide().decideHost(attached.peer, service);
      const accepted = decision.decision === "allow" && this.#script.refusesHosts !== true;
      if (accepted) attached.hosts.add(service);
      const { decisionId, reason, code, sliceVersion } = decision;
      const refusal = accepted
        ? undefined
        : { code, message: reason, decisionId, ruleIds: [...decision.ruleIds], sliceVersion };
      attached.tunnel.sendControl({ message: { $case: "hostResult", value: { service, accepted, refusal } } });
    }
    if (message?.$case === "hostWithdraw") attached.hosts.delete(message.value.service);
    this.#changed();
  }

  async #onOpen(incoming: IncomingStream, peer: Peer): Promise<void> {
    const { service } = incoming.open;
    const none = { circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" };
    if (service === "sallyport.policy") await this.#servePolicy(incoming.accept(none), nameOf({ peer }));
    else if (service === "sallyport.audit") await this.#serveAudit(incoming.accept(none));
    else if (service === "sallyport.enrollment") this.#script.onEnrollment?.(incoming.accept(none));
    else await this.#onDial(incoming, peer);
  }

  async #onDial(incoming: IncomingStream, peer: Peer): Promise<void> {
    const { service, circuitNonce } = incoming.open;
    this.dialsSeen += 1;
    this.#changed();
    const { refusesDials } = this.#script;
    if (refusesDials !== undefined) {
      incoming.refuse(Refusal.create({ code: refusesDials, message: "by script" }));
      return;
    }
    const decision = this.#policy.decide().decideDial(peer, service);
    const { decisionId, sliceVersion } = decision;
    if (decision.decision === "deny" && this.#script.allowsAll !== true) {
      incoming.refuse({
        code: decision.code,
        message: decision.reason,
        decisionId,
        ruleIds: [...decision.ruleIds],
        sliceVersion,
      });
      return;
    }
    const circuitId = `circuit-${(this.#circuits += 1)}`;
    const truth = StreamOpen.create({
      service,
      circuitNonce,
      dialerId: peer.identity.id.uri,
      sliceVersion,
      decisionId,
      circuitId,
    });
    await this.#offer(incoming, truth);
  }

  /** A dial over a link: decided again, by who the other router says that it is. */
  async #onLinkDial(incoming: IncomingStream): Promise<void> {
    const { service, dialerId, sliceVersion } = incoming.open;
    const dialer = { identity: identityOf(parseSpiffeId(dialerId)), serial: "", issuers: [] };
    const { decision, code, reason, decisionId } = this.#policy.decide().decideDial(dialer, service);
    if (decision === "allow" || this.#script.allowsAll === true) await this.#offer(incoming, incoming.open);
    else incoming.refuse({ code, message: reason, decisionId, ruleIds: [], sliceVersion });
  }

  async #offer(incoming: IncomingStream, truth: StreamOpen): Promise<void> {
    const { service, circuitId, sliceVersion, decisionId } = truth;
    const told = { ...truth, ...this.#script.tellHost?.(truth) };
    const attached = [...this.#attached];
    const asked = this.#script.asks?.(truth);
    const host =
      asked === undefined
        ? (attached.find(({ hosts }) => hosts.has(told.service)) ?? attached.find(({ hosts }) => hosts.has(service)))
        : attached.find((one) => nameOf(one) === asked);
    const result = await (host?.tunnel ?? this.#link)?.openStream(told);
    if (result === undefined || result.kind === "refused") {
      const noHost = { code: "NO_HOST", message: `nobody hosts ${service}`, decisionId, ruleIds: [], sliceVersion };
      incoming.refuse(result?.kind === "refused" ? result.refusal : noHost);
      return;
    }
    const hostId = host?.peer.identity.id.uri ?? result.accept.hostId;
    const accept = { circuitId, sliceVersion, decisionId, hostId };
    const dialer = incoming.accept({ ...accept, ...this.#script.tellDialer?.(accept) });
    const { relay = ({ dialer: one, host: other }: JoinedStreams) => splice(one, other) } = this.#script;
    relay({ open: told, dialer, host: result.stream });
  }

  async #servePolicy(stream: TunnelStream, workload: string): Promise<void> {
    const { tellPolicy = (envelopes: readonly PolicyEnvelope[]) => envelopes } = this.#script;
    const tell = async (): Promise<void> => {
      for (const { kind, envelope } of tellPolicy(this.#policy.envelopes(), workload)) {
        await writeMessage(stream, PolicyUpdate, { update: { $case: kind, value: envelope } });
      }
      for (const service of this.#script.saysGone ?? [])
        await writeMessage(stream, PolicyUpdate, { update: { $case: "sliceRemoved", value: service } });
    };
    const retell = (): void => void tell().catch(() => undefined);
    const stop = this.#policy.onChange(retell);
    stream.on("error", () => undefined).once("close", stop);
    for (;;) {
      const interest = await readMessage(stream, PolicyInterest);
      if (interest === null) return;
      await tell();
    }
  }

  async #serveAudit(stream: TunnelStream): Promise<void> {
    stream.on("error", () => undefined);
    for (;;) {
      const publish = await readMessage(stream, AuditPublish);
      if (publish?.block === undefined) return;
      if (this.#script.keepsBlocks === true) continue;
      const { epoch, number, events } = Block.decode(publish.block.block);
      this.events.push(...events.map((bytes) => EventCodec.decode(bytes)));
      await writeMessage(stream, AuditAck, { epoch, number, errorCode: "" });
      this.#changed();
    }
  }

  #changed(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }
}

function nameOf({ peer: { identity } }: Pick<Attached, "peer">): string {
  return identity.kind === "workload" ? identity.name : "";
}

/** As the splice of frames does: bytes, ends and resets with their code. */
export function splice(a: TunnelStream, b: TunnelStream): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on("error", (error) =>
      to.reset(error instanceof TunnelError ? (error.wireCode ?? WireCode.gone) : WireCode.gone),
    );
    from.once("close", () => {
      if (!from.readableEnded) to.destroy();
    });
    from.pipe(to);
  }
}
