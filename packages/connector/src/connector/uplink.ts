import { RotatingSvid } from "@sallyport/identity";
import { PolicyState } from "@sallyport/policy-engine";
import type { SignedBlock } from "@sallyport/proto/audit";
import type { Profile } from "../profile/profile.ts";
import { AuditFeed } from "./audit-feed.ts";
import { openBuiltIn } from "./built-in-stream.ts";
import type { ConnectorLog } from "./log.ts";
import { PolicyFeed } from "./policy-feed.ts";
import { Renewal } from "./renewal.ts";
import { TunnelKeeper, type OpenTunnel, type TunnelKeeperOptions } from "./tunnel-keeper.ts";

export type UplinkHandlers = Pick<TunnelKeeperOptions, "onOpen" | "onControl" | "onTunnel"> & {
  /** As in ConnectorOptions. */
  readonly now?: () => number;
};

/** A profile's way into the network: its tunnel, and what the built-in streams of it keep current: policy, the record, the certificate. */
export class Uplink implements AsyncDisposable {
  readonly identity: RotatingSvid;
  readonly policy: PolicyState;
  readonly #keeper: TunnelKeeper;
  readonly #policyFeed: PolicyFeed;
  readonly #auditFeed: AuditFeed;
  readonly #renewal: Renewal;

  constructor(profile: Profile, log: ConnectorLog, handlers: UplinkHandlers) {
    this.identity = new RotatingSvid(profile.svid, profile.bundle);
    const { now = Date.now } = handlers;
    this.policy = new PolicyState({ scope: "subscribed", bundle: () => this.identity.bundle(), now });
    this.#policyFeed = new PolicyFeed(this.policy, log);
    this.#auditFeed = new AuditFeed((signal) => this.current(signal));
    let { routers } = profile;
    this.#keeper = new TunnelKeeper({
      identity: this.identity,
      routers: () => routers,
      log,
      onOpen: handlers.onOpen,
      onControl: handlers.onControl,
      onTunnel: (open) => {
        // The streams of the tunnel before must go, so that it can drain.
        this.#auditFeed.release();
        this.#policyFeed.attach(open);
        handlers.onTunnel(open);
      },
    });
    this.#renewal = new Renewal({
      profile,
      identity: this.identity,
      log,
      openStream: async (signal) => {
        const { tunnel } = await this.current(signal);
        return await openBuiltIn(tunnel, "sallyport.enrollment", signal);
      },
      onRenewed: (renewed) => {
        routers = renewed.routers;
        this.#keeper.refresh();
      },
    });
  }

  /** The tunnel to use, as soon as there is one. Throws CLOSED or ROUTER_UNREACHABLE. */
  current(signal?: AbortSignal): Promise<OpenTunnel> {
    return this.#keeper.current(signal);
  }

  /** The tunnel to use; undefined while there is none. */
  get open(): OpenTunnel | undefined {
    return this.#keeper.open;
  }

  /** The tunnel that replaces `previous`. */
  after(previous: OpenTunnel, signal: AbortSignal): Promise<OpenTunnel> {
    return this.#keeper.after(previous, signal);
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
    this.#auditFeed.release();
    await this.#keeper[Symbol.asyncDispose]();
  }
}
