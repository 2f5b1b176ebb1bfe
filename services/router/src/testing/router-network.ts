import { randomBytes } from "node:crypto";
import type { EventInput } from "@sallyport/audit-log";
import { routerId, workloadId, type RotatingSvid, type SpiffeId } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { Service, type PolicyDocument, type SignedEnvelope } from "@sallyport/proto/policy";
import { type HostResult, type StreamAccept, HostAnnounce, StreamOpen } from "@sallyport/proto/tunnel";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { Tunnel, type IncomingStream, type OpenResult, type TunnelOptions, type TunnelStream } from "@sallyport/tunnel";
import { Router, type RouterOptions } from "../router.ts";
import { PolicyMirror } from "../store/policy-mirror.ts";
import { PolicyAuthor } from "./policy-author.ts";

export interface TestWorkload {
  readonly tunnel: Tunnel;
  readonly id: SpiffeId;
}

export interface TestWorkloadOptions extends Partial<TunnelOptions> {
  /** Default: `1`. */
  readonly instance?: string;
}

export interface TestHost extends TestWorkload {
  /** Streams as they are accepted. */
  next(): Promise<TunnelStream>;
  /** How often a dial reached this host. */
  readonly opens: readonly IncomingStream[];
  /** The router's answers to announcements, in order. */
  readonly results: readonly HostResult[];
  untilResult(count: number): Promise<HostResult>;
}

export interface RouterNetworkOptions extends Partial<
  Pick<
    RouterOptions,
    | "limits"
    | "enrollAddress"
    | "enrollmentAddress"
    | "publishBlock"
    | "linkListen"
    | "reusePort"
    | "listen"
    | "loopDelayMs"
  >
> {
  readonly now?: () => number;
  readonly policy?: PolicyDocument | null;
  /** Of the router. Default: `1`. */
  readonly name?: string;
  readonly identity?: RotatingSvid;
  /** Default: of its own. */
  readonly authority?: TestAuthority;
  readonly author?: PolicyAuthor;
}

/** One router with a real public port, a test authority and signed policy; workloads by real TLS and real tunnels. */
export class RouterNetwork implements AsyncDisposable {
  readonly authority: TestAuthority;
  readonly router: Router;
  readonly author: PolicyAuthor;
  readonly mirror: PolicyMirror;
  readonly events: EventInput[];
  readonly blocks: Parameters<RouterOptions["publishBlock"]>[];
  readonly #tunnels: Tunnel[] = [];

  private constructor(parts: Pick<RouterNetwork, "authority" | "router" | "author" | "mirror" | "events" | "blocks">) {
    this.authority = parts.authority;
    this.router = parts.router;
    this.author = parts.author;
    this.mirror = parts.mirror;
    this.events = parts.events;
    this.blocks = parts.blocks;
  }

  static async start(options: RouterNetworkOptions = {}): Promise<RouterNetwork> {
    const { now = Date.now, policy = reachPolicy, name = "1", identity, ...rest } = options;
    const authority = options.authority ?? (await createTestAuthority());
    const author = options.author ?? (await PolicyAuthor.create(authority));
    const mirror = new PolicyMirror({ bundle: () => authority.bundle, now });
    const events: EventInput[] = [];
    const blocks: Parameters<RouterOptions["publishBlock"]>[] = [];
    const nowhere = { host: "127.0.0.1", port: 1 };
    const router = await Router.open({
      identity: identity ?? (await authority.source(routerId(authority.trustDomain, name))),
      listen: { host: "127.0.0.1", port: 0 },
      enrollAddress: nowhere,
      enrollmentAddress: nowhere,
      mirror,
      record: (event) => events.push(event),
      publishBlock: async (...block) => void blocks.push(block),
      ...rest,
      limits: { ...withoutProbes, ...rest.limits },
    });
    const network = new RouterNetwork({ authority, router, author, mirror, events, blocks });
    if (policy !== null) network.apply(author.publish(policy));
    return network;
  }

  apply(envelopes: readonly SignedEnvelope[]): void {
    for (const envelope of envelopes) this.mirror.apply(envelope);
  }

  workloadId(name: string, instance = "1"): SpiffeId {
    return workloadId(this.authority.trustDomain, name, instance);
  }

  async connect(name: string, { instance, ...options }: TestWorkloadOptions = {}): Promise<TestWorkload> {
    const id = this.workloadId(name, instance);
    return await this.connectAs(await this.authority.source(id), options);
  }

  async connectAs(identity: RotatingSvid, options: Partial<TunnelOptions> = {}): Promise<TestWorkload> {
    const { socket } = await connectMtls({
      carrier: this.router.address,
      identity,
      trust: this.authority.bundle,
      alpn: "sallyport/1",
      expect: (peer) => peer.kind === "router",
    });
    const tunnel = new Tunnel(socket, { side: "workload", software: "test", ...options });
    this.#tunnels.push(tunnel);
    await tunnel.hello;
    return { tunnel, id: identity.current().identity.id };
  }

  async host(name: string, services: readonly string[], options: TestWorkloadOptions = {}): Promise<TestHost> {
    const opens: IncomingStream[] = [];
    const results: HostResult[] = [];
    const accepted = new Arrivals<TunnelStream>();
    const answers = new Arrivals<HostResult>();
    const workload = await this.connect(name, {
      onOpen: (incoming) => {
        opens.push(incoming);
        accepted.add(incoming.accept(emptyAccept).on("error", ignore));
      },
      onControl: ({ message }) => {
        if (message?.$case !== "hostResult") return;
        results.push(message.value);
        answers.add(message.value);
      },
      ...options,
    });
    for (const service of services) {
      workload.tunnel.sendControl({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service }) } });
    }
    if (services.length > 0) await answers.at(services.length - 1);
    let taken = 0;
    return {
      ...workload,
      opens,
      results,
      next: () => accepted.at(taken++),
      untilResult: (count) => answers.at(count - 1),
    };
  }

  async dial(from: TestWorkload, service: string): Promise<OpenResult> {
    return await this.open(from, openOf(service));
  }

  async open(from: TestWorkload, open: StreamOpen): Promise<OpenResult> {
    const result = await from.tunnel.openStream(open, { signal: AbortSignal.timeout(10_000) });
    if (result.kind === "accepted") result.stream.on("error", ignore);
    return result;
  }

  /** A dial that must be accepted. */
  async circuit(from: TestWorkload, service: string): Promise<TunnelStream> {
    const result = await this.dial(from, service);
    if (result.kind === "refused") throw new Error(`refused: ${result.refusal.code} ${result.refusal.message}`);
    return result.stream;
  }

  /** Events of one kind, oldest first. */
  recorded(kind: string): readonly EventInput[] {
    return this.events.filter((event) => event.kind === kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.abort(0);
    await this.router[Symbol.asyncDispose]();
  }
}

/** Most tests count the streams that their hosts are asked for. */
const withoutProbes = { probeEveryMs: 2 ** 31 - 1 };

/** Streams end by error when a test lets go of its network. Who cares listens too. */
function ignore(): void {}

export function openOf(service: string): StreamOpen {
  return StreamOpen.create({ service, circuitNonce: randomBytes(16) });
}

export const emptyAccept: StreamAccept = { circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" };

/** `agent` may dial `files`, and may host `vault` but is forbidden to dial it; `shelf` may host anything; `other` may do nothing. */
export const reachPolicy: PolicyDocument = {
  cedarFiles: {
    "main.cedar": `
@id("agent-dials") permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"dial", resource == Sallyport::Service::"files");
@id("agent-vault") permit (principal == Sallyport::Workload::"agent", action in [Sallyport::Action::"dial", Sallyport::Action::"host"], resource == Sallyport::Service::"vault");
@id("shelf-hosts") permit (principal == Sallyport::Workload::"shelf", action == Sallyport::Action::"host", resource);
@id("no-vault") forbid (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"dial", resource == Sallyport::Service::"vault");
`,
  },
  workloads: ["agent", "shelf", "other"].map((name) => ({ name, roles: [] })),
  services: ["files", "vault", "secret"].map((name) => Service.create({ name, protocol: "tcp" })),
};

/** Things that arrive one by one, each awaited by its place. */
class Arrivals<T> {
  readonly #arrived: T[] = [];
  readonly #waiting = new Map<number, (value: T) => void>();

  add(value: T): void {
    this.#waiting.get(this.#arrived.length)?.(value);
    this.#arrived.push(value);
  }

  async at(index: number): Promise<T> {
    const known = this.#arrived[index];
    if (known !== undefined) return known;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.set(index, resolve);
    const timer = setTimeout(() => reject(new Error(`nothing arrived at ${index}`)), 10_000);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}
