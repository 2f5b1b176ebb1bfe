import { FrameError, WireCode } from "@sallyport/frame";
import type { Control, Hello, HostsDelta, HostsSnapshot, StreamOpen } from "@sallyport/proto/tunnel";
import { DEFAULT_FRAME_RATES } from "@sallyport/tunnel";
import type { Circuit, CircuitEnd, Side } from "../domain/circuit.ts";
import { FrameTunnel, type FrameTunnelInit } from "../domain/frame-tunnel.ts";
import type { TunnelEnd } from "../domain/tunnel-end.ts";
import type { OfferedSlot } from "../domain/tunnel-port.ts";
import type { RouterLimits } from "../limits.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";

/** What a link asks of its router. */
export interface LinkOwner {
  /** The peer's hello came. */
  up(link: LinkTunnel): void;
  /** A dial from a workload of the peer's. The answer is `link.refuse`, or a slot by `link.place`. */
  open(link: LinkTunnel, streamId: number, open: StreamOpen): void;
  hostsSnapshot(link: LinkTunnel, snapshot: HostsSnapshot): void;
  hostsDelta(link: LinkTunnel, delta: HostsDelta): void;
  /** The peer takes no new streams. */
  draining(link: LinkTunnel): void;
  /** Its streams are over already. */
  over(link: LinkTunnel, end: TunnelEnd): void;
}

export type LinkLimits = Pick<
  RouterLimits,
  | "helloMs"
  | "maxQueuedBytesPerStream"
  | "maxStreamsPerLink"
  | "maxQueuedBytesPerLink"
  | "opensPerSecondPerLink"
  | "controlsPerSecondPerLink"
>;

export interface LinkTunnelInit extends Omit<
  FrameTunnelInit,
  "portId" | "helloMs" | "maxStreams" | "maxQueuedBytesPerStream"
> {
  readonly linkId: string;
  /** `dialed`: this router's stream ids are a workload's. */
  readonly direction: "dialed" | "accepted";
  readonly owner: LinkOwner;
  readonly limits: LinkLimits;
}

/** From the first OPEN beyond the rate on, the peer has this many times the rate before it is cut off: until then it is refused, which it heeds. */
const hardOverSoft = 4;

/**
 * At each look. What a router adds to a round trip while it is busy comes and goes, the way stays: so the best counts, until, within half a minute or so,
 * it is not reached again.
 */
const forgetsBest = 1.01;
/** More than a router can take in between two looks at a link's queue: only when those fail does the link end by it. */
const betweenLooksBytes = 134_217_728;

/**
 * One router's end of a link to another. Same frames and same splice as a tunnel; many workloads' circuits share it:
 *
 *   1. Credit is end to end, so a slow receiver holds up its own stream, at its own router; what waits here is what the link cannot carry.
 *   2. When too much waits, the streams that wait with most are reset, never the whole link.
 */
export class LinkTunnel extends FrameTunnel {
  readonly linkId: string;
  readonly routerId: string;
  readonly direction: "dialed" | "accepted";
  readonly #owner: LinkOwner;
  readonly #limits: LinkLimits;
  readonly #opensOut: TokenBucket;
  readonly #opensIn: TokenBucket;
  #routerEpoch = 0;
  #wayMs: number | null = null;
  #retires = false;

  constructor({ linkId, direction, owner, limits, ...init }: LinkTunnelInit) {
    const {
      helloMs,
      maxQueuedBytesPerStream,
      maxStreamsPerLink: maxStreams,
      opensPerSecondPerLink,
      controlsPerSecondPerLink,
    } = limits;
    super(
      { ...init, portId: linkId, helloMs, maxStreams, maxQueuedBytesPerStream },
      direction === "dialed" ? "workload" : "router",
      {
        maxQueuedBytes: limits.maxQueuedBytesPerLink + betweenLooksBytes,
        rates: {
          ...DEFAULT_FRAME_RATES,
          open: { perSecond: hardOverSoft * opensPerSecondPerLink, burst: 2 * hardOverSoft * opensPerSecondPerLink },
          control: { perSecond: controlsPerSecondPerLink, burst: 4 * controlsPerSecondPerLink },
        },
      },
    );
    this.linkId = linkId;
    this.routerId = init.peer.identity.id.uri;
    this.direction = direction;
    this.#owner = owner;
    this.#limits = limits;
    const opens = { perSecond: opensPerSecondPerLink, burst: 2 * opensPerSecondPerLink };
    this.#opensOut = new TokenBucket(opens);
    this.#opensIn = new TokenBucket(opens);
  }

  /** Of the peer's boot; 0 before its hello. */
  get routerEpoch(): number {
    return this.#routerEpoch;
  }

  get roundTripMs(): number | null {
    return this.outlet.roundTripMs;
  }

  /** A circuit more on the other host, and one more per millisecond. */
  get wayCost(): number {
    return 1 + Math.round(this.#wayMs ?? 0);
  }

  /** To be called a few times a second. */
  look(): void {
    const { roundTripMs } = this.outlet;
    if (roundTripMs !== null)
      this.#wayMs = this.#wayMs === null ? roundTripMs : Math.min(roundTripMs, this.#wayMs * forgetsBest);
    const { maxQueuedBytesPerLink } = this.#limits;
    if (this.queuedBytes > maxQueuedBytesPerLink) this.#shedTo(maxQueuedBytesPerLink / 2); // 2
  }

  /** Gives its place to `successor`: takes nothing new, and ends when its last stream does. */
  retire(): void {
    this.#retires = true;
    this.drain();
    this.#closeIfUnused();
  }

  /** Another link to a later boot of the same router is up: nobody is at the other end of this one. */
  supersede(): void {
    this.end({ kind: "superseded" });
  }

  /** All queues of the router together are too much, and this one has most of it. */
  overflow(): void {
    this.#shedTo(this.queuedBytes / 2);
  }

  /** Ends the circuits whose bytes wait most, until no more than so many wait. */
  #shedTo(enough: number): void {
    const byUnread = this.circuits().toSorted((a, b) => this.#unreadBytes(b) - this.#unreadBytes(a));
    for (const circuit of byUnread) {
      if (this.queuedBytes <= enough) return;
      circuit.end({ kind: "shed", wireCode: WireCode.limit, routerId: this.routerId });
    }
  }

  override offer(open: StreamOpen, slot: OfferedSlot): number | null {
    return this.#opensOut.take() ? super.offer(open, slot) : null;
  }

  /** The limit that a further dial of the peer's would be beyond; null when it has a place. */
  fullBy(): "maxStreamsPerLink" | "opensPerSecondPerLink" | null {
    if (this.streams >= this.#limits.maxStreamsPerLink) return "maxStreamsPerLink";
    return this.#opensIn.take() ? null : "opensPerSecondPerLink";
  }

  override release(streamId: number): void {
    super.release(streamId);
    if (this.#retires) queueMicrotask(() => this.#closeIfUnused());
  }

  protected override greeted(hello: Hello): void {
    if (hello.routerId !== this.routerId)
      throw new FrameError("HELLO_INVALID", "The router is not the one that the handshake proved.");
    this.#routerEpoch = hello.routerEpoch;
    this.#owner.up(this);
  }

  protected override opened(streamId: number, open: StreamOpen): void {
    this.#owner.open(this, streamId, open);
  }

  protected override controlled(message: NonNullable<Control["message"]>): void {
    switch (message.$case) {
      case "hello":
        return;
      case "hostsSnapshot":
        return this.#owner.hostsSnapshot(this, message.value);
      case "hostsDelta":
        return this.#owner.hostsDelta(this, message.value);
      case "hostAnnounce":
      case "hostWithdraw":
      case "hostResult":
        throw new FrameError("PAYLOAD_INVALID", "A router announces hosts by snapshot and delta.");
    }
  }

  protected override peerDrains(): void {
    this.#owner.draining(this);
  }

  protected override over(end: TunnelEnd): void {
    this.#owner.over(this, end);
  }

  /** Whatever became of the other router: the workloads of the circuit may still reach each other another way. */
  protected override circuitEndOf(_end: TunnelEnd, side: Side): CircuitEnd {
    return { kind: "link-gone", side, routerId: this.routerId };
  }

  /** Of what was sent towards the link, what its reader has not granted again. */
  #unreadBytes({ dialerLeg, hostLeg }: Circuit): number {
    const source = dialerLeg.outlet === this.outlet ? hostLeg : dialerLeg;
    return -source.credit.availableBytes;
  }

  #closeIfUnused(): void {
    if (this.streams === 0) this.close();
  }
}
