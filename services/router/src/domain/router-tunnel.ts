/**
 * The router's end of one workload's tunnel: which stream id stands for what, and nothing else. What is allowed is the switchboard's to say.
 *
 *   1. The first frame of each side is HELLO; the workload's must come within `helloMs`.
 *   2. Odd ids are the workload's, even ids the router's; ids only grow. A frame for an id that was used and is over is dropped: it crossed the end.
 *      A frame for an id that was never used ends the tunnel.
 *   3. One terminal path, `#over`. Its streams end in the same turn, before anything else can be read.
 *   4. Nobody's identity comes from a frame: `peer` is the handshake's.
 */
import { FrameError, FrameType, HEADER_BYTES, WireCode, u32At, wireCodeName } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import { Control, Refusal, StreamAccept, StreamOpen, type Hello } from "@sallyport/proto/tunnel";
import {
  FrameChannel,
  StreamIds,
  TunnelError,
  checkHello,
  decodePayload,
  type ChannelEnd,
  type TunnelStream,
} from "@sallyport/tunnel";
import type { Duplex } from "node:stream";
import type { Splice } from "../splice/splice.ts";
import type { Leg } from "../splice/leg.ts";
import type { Circuit, CircuitEnd } from "./circuit.ts";
import type { LocalSlot, OfferedSlot, OpeningSlot, StreamSlot, TunnelPort } from "./tunnel-port.ts";

export type TunnelEnd =
  /** The workload, or the network between, ended it. */
  | { readonly kind: "left"; readonly channel: ChannelEnd }
  | { readonly kind: "revoked"; readonly reason: string }
  /** The leaf's life is over. */
  | { readonly kind: "expired" }
  /** The router drains and waited long enough. */
  | { readonly kind: "drained" }
  /** Too much waited for it while the router had no room. */
  | { readonly kind: "overflowed" }
  | { readonly kind: "no-hello" };

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
  readonly #slots = new Map<number, StreamSlot>();
  readonly #untilDrained = new Set<() => void>();
  #phase: Phase;
  #drains = false;
  readonly #ids = new StreamIds("router");

  constructor(init: RouterTunnelInit) {
    this.#init = init;
    this.tunnelId = init.tunnelId;
    this.peer = init.peer;
    this.remoteAddress = init.remoteAddress;
    this.#splice = init.splice;
    this.#phase = {
      kind: "greeting",
      timer: setTimeout(() => this.#end({ kind: "no-hello" }, WireCode.protocol), init.helloMs).unref(),
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
      this.#slots.size < this.#phase.peerMaxStreams &&
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
      return onLocal(slot.stream, type, chunk, start, end);
    }
    const payload = chunk.subarray(start + HEADER_BYTES, end);
    if (type === FrameType.control) this.#onControl(decodePayload(Control, payload));
    else if (this.#phase.kind !== "open") throw new FrameError("HELLO_INVALID", "The first frame must be HELLO.");
    else if (type === FrameType.goaway) this.#drains = true;
    else if (type === FrameType.open) this.#onOpen(streamId, payload);
    else if (slot === undefined) this.#ids.requireUsed(streamId); // 2
    else this.#onUnanswered(slot, type, streamId, payload);
  }

  onBatchEnd(): void {
    this.#splice.endBatch();
  }

  onEnd(end: ChannelEnd): void {
    this.#over({ kind: "left", channel: end }, { kind: "gone" });
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
    const streamId = this.#ids.next();
    if (streamId === null) return null;
    this.#slots.set(streamId, slot);
    this.outlet.writeFrame(FrameType.open, 0, streamId, StreamOpen.encode(open).finish());
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
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(wireCode);
    this.outlet.writeFrame(FrameType.reset, 0, streamId, payload);
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
    this.#end({ kind: "revoked", reason }, WireCode.revoked);
  }

  overflow(): void {
    this.#over({ kind: "overflowed" }, { kind: "gone" });
    this.outlet.abort(WireCode.limit);
  }

  /** After a drain. */
  close(): void {
    if (this.#phase.kind === "over") return;
    this.#over({ kind: "drained" }, { kind: "gone" });
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
    const expiry = setTimeout(() => this.#end({ kind: "expired" }, WireCode.expired), lifeMs).unref();
    this.#phase = { kind: "open", expiry, peerMaxStreams: hello.maxStreams };
    this.#init.owner.opened(this);
  }

  #onOpen(streamId: number, payload: Buffer): void {
    this.#ids.usePeer(streamId);
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

  #end(end: TunnelEnd, wireCode: number): void {
    if (this.#phase.kind === "over") return;
    this.#over(end, { kind: "cut", wireCode });
    this.outlet.abort(wireCode);
  }

  #over(end: TunnelEnd, how: { readonly kind: "gone" } | { readonly kind: "cut"; readonly wireCode: number }): void {
    if (this.#phase.kind === "over") return;
    clearTimeout(this.#phase.kind === "greeting" ? this.#phase.timer : this.#phase.expiry);
    this.#phase = { kind: "over" };
    for (const slot of this.#slots.values()) {
      switch (slot.kind) {
        case "opening":
          slot.cancelled();
          continue;
        case "offered":
          slot.gone();
          continue;
        case "local":
          slot.stream.fail(new TunnelError("TUNNEL_ENDED", "The tunnel is over."));
          continue;
        case "spliced":
          slot.circuit.end(this.#circuitEnd(slot, end, how));
      }
    }
    this.#slots.clear();
    this.#init.owner.over(this, end);
  }

  #circuitEnd(
    slot: { readonly leg: Leg; readonly circuit: Circuit },
    end: TunnelEnd,
    how: { readonly kind: "gone" } | { readonly kind: "cut"; readonly wireCode: number },
  ): CircuitEnd {
    if (how.kind === "gone") return { kind: "tunnel-gone", side: slot.circuit.sideOf(slot.leg) };
    const [code, reason] =
      end.kind === "revoked"
        ? ["IDENTITY_DENIED", end.reason]
        : ["EXPIRED", "The certificate behind a tunnel of this circuit expired."];
    return { kind: "cut", wireCode: how.wireCode, code, reason, decision: null };
  }
}

function onLocal(stream: TunnelStream, type: number, chunk: Buffer, start: number, end: number): void {
  const payloadStart = start + HEADER_BYTES;
  switch (type) {
    case FrameType.data:
      return stream.receiveData(chunk, payloadStart, end);
    case FrameType.window:
      return stream.receiveWindow(u32At(chunk, payloadStart));
    case FrameType.fin:
      return stream.receiveFin();
    case FrameType.reset:
      return stream.fail(streamReset(u32At(chunk, payloadStart)));
    default:
      throw stateInvalid(type);
  }
}

function streamReset(wireCode: number): TunnelError {
  return new TunnelError("STREAM_RESET", `The workload reset the stream: ${wireCodeName(wireCode)}.`, { wireCode });
}

function stateInvalid(type: number): FrameError {
  return new FrameError("STREAM_STATE_INVALID", `A frame of type ${type} does not fit the state of its stream.`);
}
