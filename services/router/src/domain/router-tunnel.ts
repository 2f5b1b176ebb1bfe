/**
 * The router's end of one workload's tunnel: which stream id stands for what, and nothing else. What is allowed is the switchboard's to say.
 *
 *   1. The first frame of each side is HELLO; the workload's must come within `helloMs`.
 *   2. Odd ids are the workload's, even ids the router's; ids only grow. A frame for an id that was used and is over is dropped: it crossed the end.
 *      A frame for an id that was never used ends the tunnel.
 *   3. One terminal path, `#over`. Its streams end in the same turn, before anything else can be read.
 *   4. Nobody's identity comes from a frame: `peer` is the handshake's.
 */
import { FrameError, FrameType, HEADER_BYTES, encodeReset, u32At } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import { Control, Refusal, StreamAccept, StreamOpen, type Hello } from "@sallyport/proto/tunnel";
import { FrameChannel, TunnelError, checkHello, decodePayload, type ChannelEnd } from "@sallyport/tunnel";
import type { Duplex } from "node:stream";
import type { Leg } from "../splice/leg.ts";
import type { Splice } from "../splice/splice.ts";
import type { Circuit } from "./circuit.ts";
import { receiveLocally, stateInvalid } from "./local-frames.ts";
import { StreamSlots } from "./stream-slots.ts";
import { circuitEndOf, wireCodeOf, type TunnelEnd } from "./tunnel-end.ts";
import type { LocalSlot, OfferedSlot, OpeningSlot, TunnelPort } from "./tunnel-port.ts";

/** What a tunnel asks of its router. */
export interface TunnelOwner {
  opened(tunnel: RouterTunnel): void;
  /** A stream towards the router. The answer is `tunnel.refuse`, or a slot by `tunnel.place`. */
  open(tunnel: RouterTunnel, streamId: number, open: StreamOpen): void;
  announced(tunnel: RouterTunnel, service: string): void;
  withdrawn(tunnel: RouterTunnel, service: string): void;
  /** Its streams are over already. */
  over(tunnel: RouterTunnel, end: TunnelEnd): void;
}

export interface RouterTunnelInit {
  readonly tunnelId: string;
  readonly carrier: Duplex;
  readonly peer: Peer;
  readonly remoteAddress: string;
  readonly splice: Splice;
  readonly owner: TunnelOwner;
  readonly hello: Hello;
  readonly helloMs: number;
  readonly maxStreams: number;
  readonly maxQueuedBytes: number;
}

type Phase =
  | { readonly kind: "greeting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "open"; readonly expiry: NodeJS.Timeout; readonly peerMaxStreams: number }
  | { readonly kind: "over" };

/** The longest delay that a timer takes; a leaf lives an hour. */
const maxTimerMs = 2 ** 31 - 1;

export class RouterTunnel implements TunnelPort {
  readonly tunnelId: string;
  readonly peer: Peer;
  readonly remoteAddress: string;
  readonly sinceUnixMs: number = Date.now();
  readonly outlet: FrameChannel;
  /** Services that the workload wants to host here, allowed or not. */
  readonly offers: Set<string> = new Set();
  readonly #init: RouterTunnelInit;
  readonly #splice: Splice;
  readonly #slots = new StreamSlots();
  readonly #untilDrained = new Set<() => void>();
  #phase: Phase;
  #drains = false;

  constructor(init: RouterTunnelInit) {
    this.#init = init;
    this.tunnelId = init.tunnelId;
    this.peer = init.peer;
    this.remoteAddress = init.remoteAddress;
    this.#splice = init.splice;
    this.#phase = {
      kind: "greeting",
      timer: setTimeout(() => this.#end({ kind: "no-hello" }), init.helloMs).unref(),
    };
    this.outlet = new FrameChannel(init.carrier, this, { maxQueuedBytes: init.maxQueuedBytes });
    this.sendControl({ message: { $case: "hello", value: init.hello } });
  }

  get queuedBytes(): number {
    return this.outlet.queuedBytes;
  }

  get streams(): number {
    return this.#slots.size;
  }

  get takesStreams(): boolean {
    return (
      this.#phase.kind === "open" &&
      !this.#drains &&
      this.#slots.own < this.#phase.peerMaxStreams &&
      this.#slots.size < this.#init.maxStreams
    );
  }

  onFrame(type: number, _flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    const slot = this.#slots.get(streamId);
    if (slot !== undefined && slot.kind === "spliced") {
      const relayed = this.#splice.relay(slot.leg, type, chunk, start, end);
      if (relayed === "open") return;
      if (relayed === "ended") return slot.circuit.end({ kind: "ended" });
      return slot.circuit.end({
        kind: "reset",
        by: slot.circuit.sideOf(slot.leg),
        wireCode: u32At(chunk, start + HEADER_BYTES),
      });
    }
    this.#splice.settle();
    if (slot !== undefined && slot.kind === "local") {
      if (type === FrameType.reset) this.release(streamId);
      return receiveLocally(slot.stream, type, chunk, start, end);
    }
    const payload = chunk.subarray(start + HEADER_BYTES, end);
    if (type === FrameType.control) this.#onControl(decodePayload(Control, payload));
    else if (this.#phase.kind !== "open") throw new FrameError("HELLO_INVALID", "The first frame must be HELLO.");
    else if (type === FrameType.goaway) this.#drains = true;
    else if (type === FrameType.open) this.#onOpen(streamId, payload);
    else if (slot === undefined) this.#slots.requireUsed(streamId); // 2
    else this.#onUnanswered(slot, type, streamId, payload);
  }

  onBatchEnd(): void {
    this.#splice.endBatch();
  }

  onEnd(end: ChannelEnd): void {
    this.#over({ kind: "left", channel: end });
  }

  onDrain(): void {
    const waiting = [...this.#untilDrained];
    this.#untilDrained.clear();
    for (const resume of waiting) resume();
  }

  /** Calls back once the channel is not congested any more. */
  whenDrained(resume: () => void): void {
    this.#untilDrained.add(resume);
  }

  offer(open: StreamOpen, slot: OfferedSlot): number | null {
    const streamId = this.#slots.offer(slot);
    if (streamId !== null) this.outlet.writeFrame(FrameType.open, 0, streamId, StreamOpen.encode(open).finish());
    return streamId;
  }

  /** Gives a stream that the workload opened its meaning. */
  place(streamId: number, slot: OpeningSlot | LocalSlot): void {
    this.#slots.set(streamId, slot);
  }

  join(leg: Leg, circuit: Circuit): void {
    this.#slots.set(leg.streamId, { kind: "spliced", leg, circuit });
  }

  release(streamId: number): void {
    this.#slots.delete(streamId);
  }

  accept(streamId: number, accept: StreamAccept): void {
    this.outlet.writeFrame(FrameType.accept, 0, streamId, StreamAccept.encode(accept).finish());
  }

  refuse(streamId: number, refusal: Refusal): void {
    this.outlet.writeFrame(FrameType.refuse, 0, streamId, Refusal.encode(refusal).finish());
  }

  reset(streamId: number, wireCode: number): void {
    this.outlet.forward(encodeReset(streamId, wireCode));
  }

  sendControl(message: Control): void {
    this.outlet.writeFrame(FrameType.control, 0, 0, Control.encode(message).finish());
  }

  /** Tells the workload to open its next streams elsewhere; what runs goes on. */
  drain(): void {
    if (this.#phase.kind === "over") return;
    this.#drains = true;
    this.outlet.writeFrame(FrameType.goaway, 0, 0, Buffer.alloc(4));
  }

  /** The deny-list names this identity: its bytes stop now, in both directions. */
  revoke(reason: string): void {
    this.#end({ kind: "revoked", reason });
  }

  overflow(): void {
    this.#end({ kind: "overflowed" });
  }

  /** After a drain. */
  close(): void {
    if (this.#phase.kind === "over") return;
    this.#over({ kind: "drained" });
    this.outlet.close();
  }

  #onControl({ message }: Control): void {
    if (message?.$case === "hello") return this.#onHello(message.value);
    if (this.#phase.kind !== "open") throw new FrameError("HELLO_INVALID", "The first frame must be HELLO.");
    switch (message?.$case) {
      case "hostAnnounce":
        return this.#init.owner.announced(this, message.value.service);
      case "hostWithdraw":
        return this.#init.owner.withdrawn(this, message.value.service);
      case "hostsSnapshot":
      case "hostsDelta":
        throw new FrameError("PAYLOAD_INVALID", "Hosts are announced by one router to another, on a link.");
      case "hostResult":
        throw new FrameError("PAYLOAD_INVALID", "HOST_RESULT is the router's to send.");
      case undefined:
        // A control message of a later version.
        return;
    }
  }

  #onHello(hello: Hello): void {
    if (this.#phase.kind !== "greeting") throw new FrameError("HELLO_INVALID", "HELLO twice.");
    checkHello(hello);
    clearTimeout(this.#phase.timer);
    const lifeMs = Math.max(0, Math.min(maxTimerMs, this.peer.notAfter.getTime() - Date.now()));
    const expiry = setTimeout(() => this.#end({ kind: "expired" }), lifeMs).unref();
    this.#phase = { kind: "open", expiry, peerMaxStreams: hello.maxStreams };
    this.#init.owner.opened(this);
  }

  #onOpen(streamId: number, payload: Buffer): void {
    this.#slots.usePeer(streamId);
    this.#init.owner.open(this, streamId, decodePayload(StreamOpen, payload));
  }

  #onUnanswered(slot: OpeningSlot | OfferedSlot, type: number, streamId: number, payload: Buffer): void {
    if (slot.kind === "offered") return this.#onAnswer(slot, type, streamId, payload);
    if (type !== FrameType.reset) throw stateInvalid(type);
    slot.cancelled();
  }

  #onAnswer(slot: OfferedSlot, type: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case FrameType.accept:
        return slot.accepted();
      case FrameType.refuse:
        this.release(streamId);
        return slot.refused(decodePayload(Refusal, payload));
      case FrameType.reset:
        this.release(streamId);
        return slot.gone();
      default:
        throw stateInvalid(type);
    }
  }

  #end(end: Exclude<TunnelEnd, { kind: "left" | "drained" }>): void {
    if (this.#phase.kind === "over") return;
    this.#over(end);
    this.outlet.abort(wireCodeOf(end));
  }

  #over(end: TunnelEnd): void {
    if (this.#phase.kind === "over") return;
    clearTimeout(this.#phase.kind === "greeting" ? this.#phase.timer : this.#phase.expiry);
    this.#phase = { kind: "over" };
    this.#slots.endAll(
      ({ leg, circuit }) => circuit.end(circuitEndOf(end, circuit.sideOf(leg))),
      new TunnelError("TUNNEL_ENDED", "The tunnel is over."),
    );
    this.#init.owner.over(this, end);
  }
}
