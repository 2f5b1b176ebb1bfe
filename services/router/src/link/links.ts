/**
 * The links of this router to all others.
 *
 *   1. Routers and links are bounded in number; a further one is turned away.
 *   2. A dial that comes over a link is judged as if it came over a tunnel, and answered from own tunnels only.
 *   3. A link that took the place of another is the one whose hosts count.
 */
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import type { SvidSource } from "@sallyport/identity";
import type { PolicyChange, PolicyState } from "@sallyport/policy-engine";
import type { Hello, HostsDelta, HostsSnapshot, StreamOpen } from "@sallyport/proto/tunnel";
import { describeChannelEnd } from "@sallyport/tunnel";
import type { Counters } from "../domain/counters.ts";
import type { Dialing } from "../domain/dialing.ts";
import type { HostRegistry } from "../domain/host-registry.ts";
import { ownParty } from "../domain/party.ts";
import { refusal } from "../domain/refusal.ts";
import type { TunnelEnd } from "../domain/tunnel-end.ts";
import { linkClosed, linkOpened, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { Splice } from "../splice/splice.ts";
import { HostAnnouncer } from "./host-announcer.ts";
import { LinkDoor, type ProvenRouter } from "./link-door.ts";
import { LinkTunnel, type LinkOwner } from "./link-tunnel.ts";
import { PeerRouter } from "./peer-router.ts";
import { RemoteHosts } from "./remote-hosts.ts";
import { identityNamed, remoteParty } from "./remote-party.ts";

export interface LinksOptions {
  readonly identity: SvidSource;
  readonly policy: PolicyState;
  readonly hosts: HostRegistry;
  readonly dialing: Dialing;
  readonly record: Record;
  readonly counters: Counters;
  readonly limits: RouterLimits;
  /** The event loop is too late for new work. */
  readonly overloaded: () => boolean;
  /** Of this router's boot. */
  readonly routerEpoch: number;
  readonly hello: () => Hello;
  readonly onTrouble: (what: string, error: unknown) => void;
}

/** Another router, as the bus tells of it. */
export interface KnownRouter {
  readonly routerId: string;
  readonly epoch: number;
  /** `host:port` of its port for links. */
  readonly linkAddress: string;
}

const backoff = { firstMs: 100, maxMs: 5_000 };
const sweepEveryMs = 250;
const gatherMs = 20;
const gatherLoadMs = 1_000;

export class Links implements LinkOwner, AsyncDisposable {
  readonly #options: LinksOptions;
  readonly #ownId: string;
  readonly #trustDomain: string;
  readonly #door: LinkDoor;
  readonly #announcer: HostAnnouncer;
  readonly #peers = new Map<string, PeerRouter>();
  readonly #links = new Set<LinkTunnel>();
  readonly #remoteHosts = new Map<LinkTunnel, RemoteHosts>();
  readonly #greeting = new Map<LinkTunnel, (over: TunnelEnd | null) => void>();
  readonly #listeners = new Set<() => void>();
  readonly #sweep: NodeJS.Timeout;
  #draining = false;

  constructor(options: LinksOptions) {
    this.#options = options;
    const { identity, hosts, routerEpoch } = options;
    const { id } = identity.current().identity;
    this.#ownId = id.uri;
    this.#trustDomain = id.trustDomain;
    this.#door = new LinkDoor({
      ...options,
      hasRoom: (routerId) => this.#hasRoom(routerId),
      draining: () => this.#draining,
    });
    this.#announcer = new HostAnnouncer({ hosts, routerEpoch, gatherMs, gatherLoadMs });
    this.#sweep = setInterval(() => {
      this.#forgetTheSilent();
      for (const link of this.#links) link.look();
    }, sweepEveryMs).unref();
  }

  /** Every router that this one knows of. */
  get routers(): readonly PeerRouter[] {
    return [...this.#peers.values()];
  }

  /** Connections, retired ones too. */
  get tunnels(): ReadonlySet<LinkTunnel> {
    return this.#links;
  }

  /** Hosts announced over it. */
  hostsBehind(link: LinkTunnel): number {
    return this.#remoteHosts.get(link)?.size ?? 0;
  }

  /** Calls back after a link came, changed or went. The answer ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The bus, or whoever else knows, says where a router is. Of one that this router cannot have a link to: nothing. */
  learn({ routerId, epoch, linkAddress }: KnownRouter): void {
    const identity = identityNamed(routerId);
    if (routerId === this.#ownId || linkAddress === "" || this.#draining) return;
    if (identity === null || identity.kind !== "router" || identity.id.trustDomain !== this.#trustDomain) return;
    this.#peer(routerId)?.heardOf(linkAddress, epoch);
  }

  /** A connection whose ClientHello asks for a link. `deadline` ends the handshake. */
  async accept(carrier: Socket, deadline: AbortSignal): Promise<void> {
    const proven = await this.#door.accept(carrier, deadline);
    if (proven !== null) this.#begin(proven);
  }

  /** To be called after each change of policy. */
  policyChanged(change: PolicyChange): void {
    for (const link of change.denyListChanged ? this.#links : []) {
      const entry = this.#options.policy.denied(ownParty(link.peer));
      if (entry !== null) link.revoke(`On the deny-list${entry.reason === "" ? "" : `: ${entry.reason}`}`);
    }
    for (const remote of this.#remoteHosts.values()) remote.policyChanged(change);
    // Without a fresh head nobody is admitted.
    if (change.headAdvanced) for (const peer of this.#peers.values()) peer.tryNow();
  }

  /** Takes nothing new from now on, and tells every router so. */
  drain(): void {
    this.#draining = true;
    for (const peer of this.#peers.values()) peer.forget();
    for (const link of this.#links) link.drain();
  }

  close(): void {
    for (const link of this.#links) link.close();
  }

  up(link: LinkTunnel): void {
    const { policy, hosts, record, limits } = this.#options;
    const peer = this.#peer(link.routerId);
    if (peer === undefined) return link.close();
    const options = { link, policy, hosts, record, trustDomain: this.#trustDomain, maxHosts: limits.maxHostsPerLink };
    this.#remoteHosts.set(link, new RemoteHosts(options));
    record(linkOpened(link, link.routerEpoch));
    this.#announcer.begin(link);
    for (const before of peer.links) this.#announcer.end(before);
    peer.up(link);
    if (this.#draining) link.drain();
    this.#greeted(link, null);
  }

  /** 2 */
  open(link: LinkTunnel, streamId: number, open: StreamOpen): void {
    const { service, dialerId, dialerSerial, dialerIssuers } = open;
    const named = { spiffeId: dialerId, serial: dialerSerial, issuers: dialerIssuers };
    const dialer = remoteParty(named, link.routerId, this.#trustDomain);
    const { dialing, counters, overloaded } = this.#options;
    if (this.#draining || link.drains)
      return link.refuse(streamId, refusal("DRAINING", "This router is going away: ask for another host."));
    if (dialer === null)
      return dialing.refuseUnasked(
        { party: { ...ownParty(link.peer), routerId: link.routerId }, port: link, streamId },
        service,
        refusal("PROTOCOL", "An OPEN over a link names the workload that dials."),
      );
    const origin = { party: dialer, port: link, streamId };
    const beyond = link.fullBy() ?? (overloaded() ? "overloadDelayMs" : null);
    if (beyond !== null) {
      counters.shedBy(beyond);
      const why =
        beyond === "overloadDelayMs" ? "This router is late: it takes nothing new." : "Too many dials over this link.";
      return dialing.refuseUnasked(origin, service, refusal("OVERLOADED", why));
    }
    dialing.fromRouter(origin, open);
  }

  hostsSnapshot(link: LinkTunnel, snapshot: HostsSnapshot): void {
    this.#remoteHosts.get(link)?.snapshot(snapshot);
    // 3
    for (const before of this.#peers.get(link.routerId)?.links ?? [])
      if (before !== link) this.#remoteHosts.get(before)?.close();
    this.#announceChange();
  }

  hostsDelta(link: LinkTunnel, delta: HostsDelta): void {
    this.#remoteHosts.get(link)?.delta(delta);
    this.#announceChange();
  }

  draining(link: LinkTunnel): void {
    this.#peers.get(link.routerId)?.draining(link);
  }

  over(link: LinkTunnel, end: TunnelEnd): void {
    this.#links.delete(link);
    this.#announcer.end(link);
    const remote = this.#remoteHosts.get(link);
    this.#remoteHosts.delete(link);
    remote?.close();
    // One that never came up is on record where the router at its other end broke the protocol: a router that is not ready yet is tried again and again.
    if (remote !== undefined || brokeProtocol(end))
      this.#options.record(linkClosed(link, end, (Date.now() - link.sinceUnixMs) * 1_000));
    this.#peers.get(link.routerId)?.over(link, describe(end));
    this.#greeted(link, end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep);
    for (const peer of this.#peers.values()) peer.forget();
    this.close();
    this.#announcer[Symbol.dispose]();
    await this.#door[Symbol.asyncDispose]();
  }

  /** 1 */
  #hasRoom(routerId: string): boolean {
    const own = [...this.#links].filter((link) => link.routerId === routerId).length;
    return own < this.#options.limits.maxLinksPerRouter && this.#peer(routerId) !== undefined;
  }

  /** 1 */
  #peer(routerId: string): PeerRouter | undefined {
    const known = this.#peers.get(routerId);
    if (known !== undefined) return known;
    const { limits, onTrouble, identity } = this.#options;
    if (this.#peers.size >= limits.maxLinkedRouters) {
      onTrouble(
        "links",
        new Error(`There are more than ${limits.maxLinkedRouters} other routers: no link to ${routerId}.`),
      );
      return undefined;
    }
    const peer = new PeerRouter({
      routerId,
      dials: this.#ownId < routerId,
      backoff,
      connect: (address, signal) => this.#connect(routerId, address, signal),
      ownNotAfter: () => identity.current().notAfter.getTime(),
      onChange: () => this.#announceChange(),
    });
    this.#peers.set(routerId, peer);
    return peer;
  }

  async #connect(routerId: string, address: string, signal: AbortSignal): Promise<void> {
    const link = this.#begin(await this.#door.connect(routerId, address, signal));
    const end = await new Promise<TunnelEnd | null>((resolve) => this.#greeting.set(link, resolve));
    if (end !== null) throw new Error(describe(end));
  }

  #begin({ socket, ...proven }: ProvenRouter): LinkTunnel {
    const { limits, hello } = this.#options;
    const link = new LinkTunnel({
      ...proven,
      linkId: randomUUID(),
      carrier: socket,
      splice: new Splice(this.#options.counters.relay),
      owner: this,
      hello: hello(),
      limits,
    });
    this.#links.add(link);
    return link;
  }

  #greeted(link: LinkTunnel, over: TunnelEnd | null): void {
    this.#greeting.get(link)?.(over);
    this.#greeting.delete(link);
  }

  #forgetTheSilent(): void {
    for (const [routerId, peer] of this.#peers) {
      if (peer.silentMs() <= this.#options.limits.forgetRouterAfterMs) continue;
      peer.forget();
      this.#peers.delete(routerId);
      this.#announceChange();
    }
  }

  #announceChange(): void {
    for (const listener of this.#listeners) listener();
  }
}

function brokeProtocol(end: TunnelEnd): boolean {
  return end.kind === "no-hello" || (end.kind === "left" && end.channel.kind === "violated");
}

function describe(end: TunnelEnd): string {
  return end.kind === "left" ? describeChannelEnd(end.channel) : `this side ended the link: ${end.kind}`;
}
