import type { Duplex } from "node:stream";
import { RotatingSvid } from "@sallyport/identity";
import { PolicyState } from "@sallyport/policy-engine";
import type { SignedBlock } from "@sallyport/proto/audit";
import type { Profile } from "../profile/profile.ts";
import type { ChooseProxy } from "../proxy/choose-proxy.ts";
import { AuditFeed } from "./audit-feed.ts";
import { openBuiltIn } from "./built-in-stream.ts";
import { HeadWatch } from "./head-watch.ts";
import type { ConnectorLog } from "./log.ts";
import { openTunnel, type OpenTunnel, type TunnelHandlers } from "./open-tunnel.ts";
import { PolicyFeed, type PolicyLie } from "./policy-feed.ts";
import { Renewal } from "./renewal.ts";
import { TunnelPair } from "./tunnel-pair.ts";
import { compareTunnels, tunnelStatus, type TunnelStatus } from "./tunnel-status.ts";

export interface UplinkHandlers extends Pick<TunnelHandlers, "onOpen" | "onControl"> {
  /** A tunnel is up. */
  readonly onTunnel: (open: OpenTunnel) => void;
  /** Nothing but the circuits on it is to use it any more, or it is over. */
  readonly onReleased: (open: OpenTunnel) => void;
  /** A router passed on what policy did not sign, or went behind its own last head. */
  readonly onLie: (lie: PolicyLie) => void;
  readonly proxy: ChooseProxy;
  /** As in ConnectorOptions. */
  readonly now?: () => number;
}

/** A profile's way into the network: its tunnels, and what their built-in streams keep current: policy, the record, the certificate. */
export class Uplink implements AsyncDisposable {
  readonly identity: RotatingSvid;
  readonly policy: PolicyState;
  readonly #pair: TunnelPair;
  readonly #heads: HeadWatch;
  readonly #policyFeed: PolicyFeed;
  readonly #auditFeed: AuditFeed;
  readonly #renewal: Renewal;

  constructor(profile: Profile, log: ConnectorLog, handlers: UplinkHandlers) {
    this.identity = new RotatingSvid(profile.svid, profile.bundle);
    const { identity } = this;
    const { now = Date.now } = handlers;
    this.policy = new PolicyState({ scope: "subscribed", bundle: () => identity.bundle(), now });
    this.#heads = new HeadWatch(log);
    this.#policyFeed = new PolicyFeed(this.policy, this.#heads, log, handlers.onLie);
    this.#auditFeed = new AuditFeed(async (signal) => {
      await this.current(signal);
      return this.usable;
    });
    let { routers } = profile;
    const { onOpen, onControl, proxy } = handlers;
    this.#pair = new TunnelPair({
      routers: () => routers,
      log,
      connect: (address, isTaken, signal) =>
        openTunnel({
          address,
          isTaken,
          signal,
          identity,
          proxy,
          onOpen,
          onControl,
          onGoaway: (open) => this.retire(open),
        }),
      onTunnel: (open) => {
        this.#policyFeed.attach(open);
        handlers.onTunnel(open);
      },
      onReleased: (open) => {
        this.#auditFeed.release(open);
        this.#policyFeed.detach(open);
        handlers.onReleased(open);
      },
      compare: (one, other) => compareTunnels(one, other, this.#heads),
    });
    this.#renewal = new Renewal({
      profile,
      identity,
      log,
      openStream: (signal) => this.#openEnrollment(signal),
      onRenewed: (renewed) => {
        routers = renewed.routers;
        this.#pair.refresh();
      },
    });
  }

  /** Tunnels to use, the best first. */
  get usable(): readonly OpenTunnel[] {
    return this.#pair.usable;
  }

  get tunnels(): readonly TunnelStatus[] {
    return this.usable.map((open) => tunnelStatus(open, this.#heads));
  }

  /** The best tunnel that was not tried yet, as soon as there is one. Throws CLOSED, IDENTITY_REVOKED, PROXY_AUTH_REQUIRED or ROUTER_UNREACHABLE. */
  current(signal?: AbortSignal, tried?: ReadonlySet<OpenTunnel>): Promise<OpenTunnel> {
    return this.#pair.current(signal, tried);
  }

  /** Its router takes nothing new. */
  retire(open: OpenTunnel): void {
    this.#pair.retire(open);
  }

  /** Whether a router ended or began to drain under a tunnel in the last `ms`. */
  lostRouterWithin(ms: number): boolean {
    return this.#pair.lostRouterWithin(ms);
  }

  /** Has policy for `service` sent from now on. */
  want(service: string): void {
    this.#policyFeed.want(service);
  }

  publish(block: SignedBlock, signal: AbortSignal): Promise<"stored" | "invalid"> {
    return this.#auditFeed.publish(block, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#renewal[Symbol.asyncDispose]();
    this.#policyFeed[Symbol.dispose]();
    this.#auditFeed[Symbol.dispose]();
    await this.#pair[Symbol.asyncDispose]();
  }

  /** Over any tunnel: one router may not reach enrollment. */
  async #openEnrollment(signal: AbortSignal): Promise<Duplex> {
    await this.current(signal);
    let failure: unknown;
    for (const { tunnel } of this.usable) {
      try {
        return await openBuiltIn(tunnel, "sallyport.enrollment", signal);
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    throw failure;
  }
}
