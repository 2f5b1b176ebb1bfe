/**
 * The router's end of one tunnel or link: which stream id stands for what, and nothing else. What is allowed is its owner's to say.
 *
 *   1. The first frame of each side is HELLO; the peer's must come within `helloMs`.
 *   2. Odd ids are the workload's (on a link: those of the router that dialed it), even ids the other side's; ids only grow. A frame for an id that
 *      was used and is over is dropped: it crossed the end. A frame for an id that was never used ends the tunnel.
 *   3. One terminal path, `#over`. Its streams end in the same turn, before anything else can be read.
 *   4. Nobody's identity comes from a frame: `peer` is the handshake's.
 */
import { FrameError, FrameType, HEADER_BYTES, encodeReset, u32At } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import { Control, Refusal, StreamAccept, StreamOpen, type Hello } from "@sallyport/proto/tunnel";
import {
  FrameChannel,
  TunnelError,
  checkHello,
  decodePayload,
  type ChannelEnd,
  type FrameChannelOptions,
  type FrameHandler,
} from "@sallyport/tunnel";
import type { Duplex } from "node:stream";
import type { Leg } from "../splice/leg.ts";
import type { Splice } from "../splice/splice.ts";
import type { Circuit, CircuitEnd, Side } from "./circuit.ts";
import { GrantGuard } from "./grant-guard.ts";
import { receiveLocally, stateInvalid } from "./local-frames.ts";
import { StreamSlots } from "./stream-slots.ts";
import { wireCodeOf, type DecidedEnd, type TunnelEnd } from "./tunnel-end.ts";
import type { LocalSlot, OfferedSlot, OpeningSlot, SplicedSlot, TunnelPort } from "./tunnel-port.ts";

export interface FrameTunnelInit {
  readonly portId: string;
  readonly carrier: Duplex;
  readonly peer: Peer;
  readonly remoteAddress: string;
  readonly splice: Splice;
  readonly hello: Hello;
  readonly helloMs: number;
  readonly maxStreams: number;
  readonly maxQueuedBytesPerStream: number;
}

type Phase =
  | { readonly kind: "greeting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "open"; readonly expiry: NodeJS.Timeout; readonly peerMaxStreams: number }
  | { readonly kind: "over" };

/**
 * What a carrier is given at once. Node keeps a buffer of the greatest batch for as long as a connection lives: 128 KiB at once cost no less CPU time per
 * GB, and 150 KiB more of memory for each tunnel that was ever busy.
 */
const batchBytes = 32_768;
/** The longest delay that a timer takes; a leaf lives an hour. */
const maxTimerMs = 2 ** 31 - 1;

export abstract class FrameTunnel implements FrameHandler, TunnelPort {
  readonly portId: string;
  readonly peer: Peer;
  readonly remoteAddress: string;
  readonly sinceUnixMs: number = Date.now();
  readonly outlet: FrameChannel;
  readonly #maxStreams: number;
  readonly #splice: Splice;
  readonly #grants: GrantGuard;
  readonly #slots: StreamSlots;
  readonly #untilDrained = new Set<() => void>();
  #phase: Phase;
  #drains = false;

  /** @param side whose stream ids are this end's: a tunnel's router has the router's, the dialing end of a link the workload's. */
  constructor(init: FrameTunnelInit, side: "router" | "workload", channel: FrameChannelOptions) {
    this.portId = init.portId;
    this.peer = init.peer;
    this.remoteAddress = init.remoteAddress;
    this.#maxStreams = init.maxStreams;
    this.#splice = init.splice;
    this.#slots = new StreamSlots(side);
    this.#phase = {
      kind: "greeting",
      timer: setTimeout(() => this.end({ kind: "no-hello" }), init.helloMs).unref(),
    };
    this.outlet = new FrameChannel(init.carrier, this, { batchBytes, ...channel, relay: init.splice.counters });
    this.#grants = new GrantGuard(this.outlet, init.maxQueuedBytesPerStream);
    this.sendControl({ message: { $case: "hello", value: init.hello } });
  }

  abstract readonly wayCost: number;

  /** The peer's hello came: from now on streams may be opened both ways. */
  protected abstract greeted(hello: Hello): void;
  /** The answer is `refuse`, or a slot by `place`. */
  protected abstract opened(streamId: number, open: StreamOpen): void;
  /** The peer takes no new streams. */
  protected peerDrains(): void {}
  /** A control message other than hello. */
  protected abstract controlled(message: NonNullable<Control["message"]>): void;
  /** Its streams are over already. */
  protected abstract over(end: TunnelEnd): void;
  /** What this end is for a circuit that has that side here. */
  protected abstract circuitEndOf(end: TunnelEnd, side: Side): CircuitEnd;

  get queuedBytes(): number {
    return this.outlet.queuedBytes;
  }

  get streams(): number {
    return this.#slots.size;
  }

  /** Either end takes no new streams. */
  get drains(): boolean {
    return this.#drains;
  }

  get takesStreams(): boolean {
    return (
      this.#phase.kind === "open" &&
      !this.#drains &&
      this.#slots.own < this.#phase.peerMaxStreams &&
      this.#slots.size < this.#maxStreams
    );
  }

  onFrame(type: number, _flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    const slot = this.#slots.get(streamId);
    if (slot !== undefined && slot.kind === "spliced") {
      const relayed = this.#splice.relay(slot.leg, type, chunk, start, end);
      if (relayed === "open") {
        if (type === FrameType.window) this.#onGrant(slot, u32At(chunk, start + HEADER_BYTES));
        return;
      }
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
    else if (type === FrameType.goaway) this.#onGoaway();
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

  /** Tells the peer to open its next streams elsewhere; what runs goes on. */
  drain(): void {
    if (this.#phase.kind === "over") return;
    this.#drains = true;
    this.outlet.writeFrame(FrameType.goaway, 0, 0, Buffer.alloc(4));
  }

  /** The deny-list names this identity: its bytes stop now, in both directions. */
  revoke(reason: string): void {
    this.end({ kind: "revoked", reason });
  }

  /** After a drain. */
  close(): void {
    if (this.#phase.kind === "over") return;
    this.#over({ kind: "drained" });
    this.outlet.close();
  }

  /** Ends it now, for a reason of this router's. */
  protected end(end: DecidedEnd): void {
    if (this.#phase.kind === "over") return;
    this.#over(end);
    this.outlet.abort(wireCodeOf(end));
  }

  /** Circuits with a stream here. */
  protected circuits(): readonly Circuit[] {
    return this.#slots.circuits();
  }

  #onControl({ message }: Control): void {
    if (message?.$case === "hello") return this.#onHello(message.value);
    if (this.#phase.kind !== "open") throw new FrameError("HELLO_INVALID", "The first frame must be HELLO.");
    // Without a kind it is of a later version.
    if (message !== undefined) this.controlled(message);
  }

  #onHello(hello: Hello): void {
    if (this.#phase.kind !== "greeting") throw new FrameError("HELLO_INVALID", "HELLO twice.");
    checkHello(hello);
    clearTimeout(this.#phase.timer);
    const lifeMs = Math.max(0, Math.min(maxTimerMs, this.peer.notAfter.getTime() - Date.now()));
    const expiry = setTimeout(() => this.end({ kind: "expired" }), lifeMs).unref();
    this.#phase = { kind: "open", expiry, peerMaxStreams: hello.maxStreams };
    this.greeted(hello);
  }

  #onGoaway(): void {
    this.#drains = true;
    this.peerDrains();
  }

  #onGrant({ leg, circuit }: SplicedSlot, bytes: number): void {
    if (this.#grants.isTooMuch(leg, bytes)) circuit.end({ kind: "overgranted", side: circuit.sideOf(leg) });
  }

  #onOpen(streamId: number, payload: Buffer): void {
    this.#slots.usePeer(streamId);
    this.opened(streamId, decodePayload(StreamOpen, payload));
  }

  #onUnanswered(slot: OpeningSlot | OfferedSlot, type: number, streamId: number, payload: Buffer): void {
    if (slot.kind === "offered") return this.#onAnswer(slot, type, streamId, payload);
    if (type !== FrameType.reset) throw stateInvalid(type);
    slot.cancelled();
  }

  #onAnswer(slot: OfferedSlot, type: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case FrameType.accept:
        return slot.accepted(decodePayload(StreamAccept, payload));
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

  #over(end: TunnelEnd): void {
    if (this.#phase.kind === "over") return;
    clearTimeout(this.#phase.kind === "greeting" ? this.#phase.timer : this.#phase.expiry);
    this.#phase = { kind: "over" };
    this.#slots.endAll(
      ({ leg, circuit }) => circuit.end(this.circuitEndOf(end, circuit.sideOf(leg))),
      new TunnelError("TUNNEL_ENDED", "The tunnel is over."),
    );
    this.over(end);
  }
}
