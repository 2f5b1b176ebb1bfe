/**
 * A carrier (any Duplex, in the product a TLS socket) seen as frames.
 *
 * Inbound: carrier 'data' → FrameDecoder → PING and GOAWAY here, everything else to the handler, then `onBatchEnd` once per chunk.
 * Outbound: writeFrame, writeData, forward → Outbound → at flush a batch of whole frames, in one corked write.
 *
 * C1. `queuedBytes` never passes `maxQueuedBytes`: the channel ends instead.
 * C2. One terminal path, `#settle`. After it nothing is read, written or reported but one `onEnd`, which never comes from inside a call of the owner;
 *     what is still written then, or after `close`, is dropped.
 * C3. What the handler throws ends this channel, not the process.
 */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  FrameDecoder,
  FrameError,
  FrameType,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  PING_ACK,
  WireCode,
  encodeFrame,
  encodeGoaway,
  encodePing,
  knownWireCode,
  setU32,
  u32At,
} from "@sallyport/frame";
import { type ChannelEnd, goawayCodeOf } from "./channel-end.ts";
import {
  type FrameChannelOptions,
  type ResolvedFrameChannelOptions,
  resolveFrameChannelOptions,
} from "./frame-channel-options.ts";
import { FrameBudget } from "./frame-budget.ts";
import type { FrameHandler } from "./frame-handler.ts";
import { Liveness } from "./liveness.ts";
import { Outbound } from "./outbound.ts";
import { passedMemory } from "./passed-memory.ts";
import type { RelayCounters } from "./relay-counters.ts";
import { TunnelError } from "./tunnel-error.ts";

type ChannelState =
  | { readonly kind: "open" }
  /** `close` was called: the queue still leaves, nothing new is taken. */
  | { readonly kind: "closing"; readonly deadline: NodeJS.Timeout }
  | { readonly kind: "ended" };

/** For a GOAWAY to leave, behind what the carrier holds already, before the carrier is destroyed. */
const GOAWAY_GRACE_MS = 250;

export class FrameChannel {
  readonly end: Promise<ChannelEnd>;
  readonly #carrier: Duplex;
  readonly #handler: FrameHandler;
  readonly #options: ResolvedFrameChannelOptions;
  readonly #decoder: FrameDecoder;
  readonly #budget: FrameBudget;
  readonly #liveness: Liveness;
  readonly #outbound: Outbound;
  readonly #resolveEnd: (end: ChannelEnd) => void;
  /** Null also for a carrier that is no socket: its chunks may be its writer's. */
  readonly #passing: RelayCounters | null;
  #state: ChannelState = { kind: "open" };
  #pingNumber = 0;
  #pingSentAt = 0;
  #roundTripMs: number | null = null;

  constructor(carrier: Duplex, handler: FrameHandler, options: FrameChannelOptions = {}) {
    const ended = Promise.withResolvers<ChannelEnd>();
    this.end = ended.promise;
    this.#resolveEnd = ended.resolve;
    this.#carrier = carrier;
    this.#handler = handler;
    this.#options = resolveFrameChannelOptions(options);
    this.#passing = carrier instanceof Socket ? this.#options.relay : null;
    const now = performance.now();
    this.#budget = new FrameBudget(this.#options.rates, now);
    this.#liveness = new Liveness(
      {
        pingIntervalMs: this.#options.pingIntervalMs,
        deadAfterMs: this.#options.deadAfterMs,
        onPingDue: () => this.#ping(),
        onTick: (tickedAt) => this.#checkStall(tickedAt),
        onDead: (silentMs) => this.#settle({ kind: "silent", silentMs }),
      },
      now,
    );
    this.#outbound = new Outbound(carrier, this.#options, {
      onHandOver: (at) => this.#liveness.sent(at),
      onDrain: () => this.#onDrain(),
      onEmpty: () => {
        if (this.#state.kind === "closing") carrier.end();
      },
    });
    this.#decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) =>
      this.#onFrame(type, flags, streamId, chunk, start, end),
    );
    if (carrier.destroyed)
      this.#settle({ kind: "failed", cause: carrier.errored ?? new Error("The carrier was closed before.") });
    carrier.on("data", this.#onData);
    carrier.on("end", () => this.#onCarrierEnd());
    carrier.on("error", (cause: Error) => this.#settle({ kind: "failed", cause }));
    carrier.on("close", () => this.#settle({ kind: "failed", cause: new Error("The carrier closed without an end.") }));
  }

  /** Bytes that wait in the queue or in the carrier's own buffer. */
  get queuedBytes(): number {
    return this.#outbound.queuedBytes;
  }

  /** True from `queuedBytes` ≥ `highWaterBytes` on, until it falls to half of that: then `onDrain`. */
  get congested(): boolean {
    return this.#outbound.congested;
  }

  /** Of the last answered PING; null before the first, which a busy channel may never send. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /**
   * Queues one frame; the payload is copied. It leaves at `flush`, at the latest when the current callback returns to the event loop.
   * Throws TunnelError PAYLOAD_TOO_LARGE.
   */
  writeFrame(type: number, flags: number, streamId: number, payload?: Uint8Array): void {
    if (payload !== undefined && payload.length > MAX_PAYLOAD_BYTES) {
      throw new TunnelError("PAYLOAD_TOO_LARGE", `A payload of ${payload.length} bytes does not fit one frame.`);
    }
    this.forward(encodeFrame(type, flags, streamId, payload));
  }

  /** Queues one or more whole frames without a copy: the bytes must not change until they left. */
  forward(frames: Buffer): void {
    if (this.#state.kind !== "open") return;
    this.#outbound.push(frames);
    this.#checkQueue();
  }

  /**
   * Queues bytes of a stream as DATA frames: the next `payloadBytes` of `pieces`, from `offset` in the first one. They are copied; at most
   * MAX_RUN_PAYLOAD_BYTES at once.
   */
  writeData(streamId: number, pieces: readonly Uint8Array[], offset: number, payloadBytes: number): void {
    if (this.#state.kind !== "open") return;
    this.#outbound.pushData(streamId, pieces, offset, payloadBytes);
    this.#checkQueue();
  }

  /** Hands a batch of whole frames to the carrier, in one write, unless it still has one; then the next follows by itself. */
  flush(): void {
    if (this.#state.kind !== "ended") this.#outbound.flush();
  }

  /** Drops the queued DATA, WINDOW and FIN frames of a stream so that a RESET is the next the peer hears of it. Returns the bytes dropped. */
  dropStream(streamId: number): number {
    return this.#outbound.dropStream(streamId);
  }

  /** DATA payload of a stream that waits in the queue. The look costs time in proportion to the queue. */
  queuedPayloadBytes(streamId: number): number {
    return this.#outbound.payloadBytesOf(streamId);
  }

  /** Stops reading. The peer's pings stay unanswered meanwhile: longer than a moment ends the tunnel at the peer's side. */
  pause(): void {
    this.#carrier.pause();
  }

  resume(): void {
    this.#carrier.resume();
  }

  /** Polite: what is queued still leaves, then the carrier ends. What the peer sends from now on is ignored. */
  close(): void {
    if (this.#state.kind !== "open") return;
    const deadline = setTimeout(() => this.#settle({ kind: "closed" }), this.#options.closeGraceMs);
    this.#state = { kind: "closing", deadline };
    this.#liveness.stop();
    this.flush();
  }

  /**
   * Now: nothing more is read, what is queued is dropped, and the peer is told `code`. What the carrier holds already (`batchBytes`) may still leave
   * before that; after 250 ms the carrier is destroyed at the latest.
   */
  abort(code: number): void {
    this.#settle({ kind: "aborted", code });
  }

  /** The peer broke a rule that the owner watches: as if the handler had thrown it. */
  violate(error: FrameError): void {
    this.#fail(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state.kind !== "open") return;
    const now = performance.now();
    this.#liveness.heard(now);
    this.#budget.refill(now);
    try {
      if (this.#passing === null) this.#decoder.push(chunk);
      else this.#pushPassing(chunk, this.#passing);
      this.#handler.onBatchEnd();
    } catch (error) {
      this.#fail(error); // C3
    }
    this.flush();
  };

  #pushPassing(chunk: Buffer, counters: RelayCounters): void {
    const copiedBefore = this.#decoder.copiedBytes;
    passedMemory.arrived(chunk);
    this.#decoder.push(chunk);
    const copied = this.#decoder.copiedBytes - copiedBefore;
    if (copied === 0) return;
    counters.bytesCopied += copied;
    passedMemory.left(chunk.buffer, copied);
  }

  #onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    this.#budget.take(type);
    if (type === FrameType.ping) {
      this.#onPing(flags, chunk, start + HEADER_BYTES);
      return;
    }
    if (type === FrameType.goaway) {
      const code = u32At(chunk, start + HEADER_BYTES);
      if (code !== WireCode.none) {
        this.#settle({ kind: "goaway", code: knownWireCode(code) });
        return;
      }
    }
    this.#handler.onFrame(type, flags, streamId, chunk, start, end);
  }

  #onPing(flags: number, chunk: Buffer, at: number): void {
    if (flags === PING_ACK) {
      // An answer to anything but the last PING tells nothing.
      if (u32At(chunk, at + 4) === this.#pingNumber) this.#roundTripMs = performance.now() - this.#pingSentAt;
      return;
    }
    this.#outbound.pushUrgent(encodePing(chunk.subarray(at, at + 8), true));
    this.#checkQueue();
  }

  #ping(): void {
    if (this.#state.kind !== "open") return;
    const opaque = Buffer.alloc(8);
    this.#pingNumber = (this.#pingNumber + 1) >>> 0;
    setU32(opaque, 4, this.#pingNumber);
    this.#pingSentAt = performance.now();
    this.#outbound.pushUrgent(encodePing(opaque, false));
  }

  /** C1 */
  #checkQueue(): void {
    const { queuedBytes } = this.#outbound;
    if (queuedBytes > this.#options.maxQueuedBytes) this.#settle({ kind: "overflowed", queuedBytes });
  }

  #onDrain(): void {
    if (this.#state.kind === "ended") return;
    try {
      this.#handler.onDrain?.();
    } catch (error) {
      this.#fail(error); // C3
    }
  }

  #checkStall(now: number): void {
    const stalledMs = this.#outbound.stalledMs(now);
    if (stalledMs > this.#options.stalledAfterMs) this.#settle({ kind: "stalled", stalledMs });
  }

  #onCarrierEnd(): void {
    try {
      this.#decoder.finish();
      this.#settle({ kind: "ended" });
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#settle(error instanceof FrameError ? { kind: "violated", error } : { kind: "failed", cause: error });
  }

  #settle(end: ChannelEnd): void {
    if (this.#state.kind === "ended") return;
    // Whatever happens while the last frames leave, this side wanted the end.
    const reported: ChannelEnd = this.#state.kind === "closing" ? { kind: "closed" } : end;
    if (this.#state.kind === "closing") clearTimeout(this.#state.deadline);
    this.#state = { kind: "ended" };
    this.#decoder.stop();
    this.#liveness.stop();
    this.#outbound.clear();
    this.#release(goawayCodeOf(reported));
    queueMicrotask(() => {
      this.#handler.onEnd(reported);
      this.#resolveEnd(reported);
    });
  }

  #release(goawayCode: number | null): void {
    const carrier = this.#carrier;
    carrier.off("data", this.#onData);
    if (goawayCode === null || carrier.destroyed || carrier.writableEnded) {
      carrier.destroy();
      return;
    }
    const destroy = (): void => {
      clearTimeout(deadline);
      carrier.destroy();
    };
    const deadline = setTimeout(destroy, GOAWAY_GRACE_MS);
    // What still arrives is read and dropped: a destroyed socket with unread bytes sends RST, which can overtake the GOAWAY.
    carrier.resume();
    carrier.on("end", destroy);
    carrier.end(encodeGoaway(goawayCode));
  }
}
