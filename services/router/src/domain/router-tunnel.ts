import { FrameError } from "@sallyport/frame";
import type { Control, Hello, HostAnnounce, StreamOpen } from "@sallyport/proto/tunnel";
import type { Circuit, CircuitEnd, Kick, Side } from "./circuit.ts";
import { FrameTunnel, type FrameTunnelInit } from "./frame-tunnel.ts";
import { ownParty, type Party } from "./party.ts";
import { circuitEndOf, type TunnelEnd } from "./tunnel-end.ts";

/** What a tunnel asks of its router. */
export interface TunnelOwner {
  opened(tunnel: RouterTunnel): void;
  /** A stream towards the router. The answer is `tunnel.refuse`, or a slot by `tunnel.place`. */
  open(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void;
  announced(tunnel: RouterTunnel, announce: HostAnnounce): void;
  withdrawn(tunnel: RouterTunnel, service: string): void;
  /** Its streams are over already. */
  over(tunnel: RouterTunnel, end: TunnelEnd): void;
}

export interface RouterTunnelInit extends Omit<FrameTunnelInit, "portId"> {
  readonly tunnelId: string;
  readonly owner: TunnelOwner;
  readonly maxQueuedBytes: number;
}

/** The router's end of one workload's tunnel. */
export class RouterTunnel extends FrameTunnel {
  readonly tunnelId: string;
  readonly party: Party;
  /** What the workload wants to host here, by service, allowed or not. */
  readonly offers: Map<string, HostAnnounce> = new Map();
  readonly #owner: TunnelOwner;

  constructor({ tunnelId, owner, maxQueuedBytes, ...init }: RouterTunnelInit) {
    super({ ...init, portId: tunnelId }, "router", { maxQueuedBytes });
    this.tunnelId = tunnelId;
    this.party = ownParty(init.peer);
    this.#owner = owner;
  }

  get wayCost(): number {
    return 0;
  }

  /** More waits for it than the router has room for. */
  overflow(): void {
    this.end({ kind: "overflowed" });
  }

  /** A host on it does not answer, though the tunnel lives: a fresh one may help. */
  unresponsive(reason: string): void {
    this.end({ kind: "unresponsive", reason });
  }

  /** Circuits of which the workload is the host. */
  hostedCircuits(): readonly Circuit[] {
    return this.circuits().filter(({ hostPort }) => hostPort === this);
  }

  /** An operator ends it. */
  kick(kick: Kick): void {
    this.end({ kind: "kicked", kick });
  }

  protected override greeted(_hello: Hello): void {
    this.#owner.opened(this);
  }

  protected override opened(streamId: number, open: StreamOpen): void {
    this.#owner.open(this, streamId, open);
  }

  protected override controlled(message: NonNullable<Control["message"]>): void {
    switch (message.$case) {
      case "hello":
        return;
      case "hostAnnounce":
        return this.#owner.announced(this, message.value);
      case "hostWithdraw":
        return this.#owner.withdrawn(this, message.value.service);
      case "hostsSnapshot":
      case "hostsDelta":
        throw new FrameError("PAYLOAD_INVALID", "Hosts are announced by one router to another, on a link.");
      case "hostResult":
        throw new FrameError("PAYLOAD_INVALID", "HOST_RESULT is the router's to send.");
    }
  }

  protected override over(end: TunnelEnd): void {
    this.#owner.over(this, end);
  }

  protected override circuitEndOf(end: TunnelEnd, side: Side): CircuitEnd {
    return circuitEndOf(end, side);
  }
}
