/**
 * An endpoint of a tunnel: a FrameChannel on one side, streams on the other.
 *
 * E1. Each side's first frame is CONTROL hello; nothing else counts before the peer's.
 * E2. One terminal path, `#onEnd`: every stream, every waiting promise and the timer end there.
 */
import type { Duplex } from "node:stream";
import {
  FrameError,
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  WireCode,
  encodeGoaway,
  u32At,
} from "@sallyport/frame";
import { Control, type Hello, Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { type ChannelEnd, describeChannelEnd } from "./channel-end.ts";
import { FrameChannel } from "./frame-channel.ts";
import { PROTOCOL_VERSION, checkHello } from "./hello.ts";
import { type OpenResult, localRefusal } from "./opening-stream.ts";
import { decodePayload } from "./payload.ts";
import { StreamTable } from "./stream-table.ts";
import { TunnelError } from "./tunnel-error.ts";
import type { TunnelEnd, TunnelEndpoint } from "./tunnel-endpoint.ts";
import { type ResolvedTunnelOptions, type TunnelOptions, resolveTunnelOptions } from "./tunnel-options.ts";

type TunnelState =
  /** The peer's hello is awaited. */
  | { readonly kind: "greeting"; readonly deadline: NodeJS.Timeout }
  | { readonly kind: "open"; readonly peer: Hello; readonly localDrain: boolean; readonly peerDrain: boolean }
  /** The channel is closing; `as` is how that will be told. */
  | { readonly kind: "closing"; readonly as: "closed" | "drained" }
  | { readonly kind: "ended"; readonly error: TunnelError };

export class Tunnel implements TunnelEndpoint {
  readonly hello: Promise<Hello>;
  readonly closed: Promise<TunnelEnd>;
  readonly #options: ResolvedTunnelOptions;
  readonly #channel: FrameChannel;
  readonly #streams: StreamTable;
  readonly #greeted: PromiseWithResolvers<Hello> = Promise.withResolvers();
  readonly #ended: PromiseWithResolvers<TunnelEnd> = Promise.withResolvers();
  #state: TunnelState;

  constructor(carrier: Duplex, options: TunnelOptions) {
    this.#options = resolveTunnelOptions(options);
    this.hello = this.#greeted.promise;
    this.hello.catch(() => {}); // Whoever never asks for the hello learns of the end by `closed`.
    this.closed = this.#ended.promise;
    const { helloTimeoutMs, side, maxStreams, onOpen, channel } = this.#options;
    this.#channel = new FrameChannel(
      carrier,
      {
        onFrame: (type, _flags, streamId, chunk, start, end) =>
          this.#onFrame(type, streamId, chunk, start + HEADER_BYTES, end),
        onBatchEnd: () => {},
        onDrain: () => this.#streams.onDrain(),
        onEnd: (end) => this.#onEnd(end),
      },
      channel,
    );
    this.#streams = new StreamTable(this.#channel, {
      side,
      maxPeerStreams: maxStreams,
      onOpen,
      onEmpty: () => this.#closeWhenDrained(),
    });
    const deadline = setTimeout(
      () => this.#channel.violate(new FrameError("HELLO_INVALID", `No hello within ${helloTimeoutMs} ms.`)),
      helloTimeoutMs,
    );
    this.#state = { kind: "greeting", deadline };
    this.sendControl({ message: { $case: "hello", value: this.#createHello() } }); // E1
  }

  /** Bytes that wait for the peer. */
  get queuedBytes(): number {
    return this.#channel.queuedBytes;
  }

  /** Of the last answered PING; null before the first, which a busy tunnel may never send. */
  get roundTripMs(): number | null {
    return this.#channel.roundTripMs;
  }

  /** Streams of both sides in any phase. */
  get streamCount(): number {
    return this.#streams.size;
  }

  async openStream(open: StreamOpen, options: { readonly signal?: AbortSignal } = {}): Promise<OpenResult> {
    const { signal } = options;
    signal?.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([this.hello, aborted.promise]);
      const refusal = this.#localRefusal();
      if (refusal !== null) return { kind: "refused", refusal };
      const opening = this.#streams.open(open);
      aborted.promise.catch((reason: unknown) => this.#streams.cancel(opening, reason));
      return await opening.result;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  sendControl(message: Control): void {
    this.#channel.writeFrame(FrameType.control, 0, 0, Control.encode(message).finish());
  }

  drain(): void {
    const state = this.#state;
    if (state.kind === "greeting") {
      this.#close("drained");
      return;
    }
    if (state.kind !== "open" || state.localDrain) return;
    this.#state = { ...state, localDrain: true };
    this.#channel.forward(encodeGoaway(WireCode.none));
    this.#closeWhenDrained();
  }

  async close(): Promise<void> {
    this.#close("closed");
    await this.closed;
  }

  abort(code: number): void {
    this.#channel.abort(code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #createHello(): Hello {
    const { software, routerId, routerEpoch, maxStreams } = this.#options;
    return {
      protocolVersion: PROTOCOL_VERSION,
      maxStreams,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software,
      routerId,
      routerEpoch,
    };
  }

  /** Why no stream is opened now, without asking the peer; null when it can be. Throws TUNNEL_ENDED. */
  #localRefusal(): Refusal | null {
    const state = this.#state;
    if (state.kind === "ended") throw state.error;
    if (state.kind !== "open" || state.localDrain || state.peerDrain)
      return localRefusal("DRAINING", "This tunnel takes no new streams.");
    if (this.#streams.localCount < state.peer.maxStreams) return null;
    return localRefusal("OVERLOADED", `The peer takes ${state.peer.maxStreams} streams at once.`);
  }

  #onFrame(type: number, streamId: number, chunk: Buffer, payloadStart: number, payloadEnd: number): void {
    if (this.#state.kind === "greeting" && type !== FrameType.control) {
      throw new FrameError("HELLO_INVALID", `The first frame has type ${type}; it must be the hello.`); // E1
    }
    switch (type) {
      case FrameType.data:
        this.#streams.onData(streamId, chunk, payloadStart, payloadEnd);
        break;
      case FrameType.window:
        this.#streams.onWindow(streamId, u32At(chunk, payloadStart));
        break;
      case FrameType.fin:
        this.#streams.onFin(streamId);
        break;
      case FrameType.reset:
        this.#streams.onReset(streamId, u32At(chunk, payloadStart));
        break;
      case FrameType.open:
        this.#streams.onOpen(
          streamId,
          decodePayload(StreamOpen, chunk.subarray(payloadStart, payloadEnd)),
          this.#refuseAll(),
        );
        break;
      case FrameType.accept:
        this.#streams.onAccept(streamId, decodePayload(StreamAccept, chunk.subarray(payloadStart, payloadEnd)));
        break;
      case FrameType.refuse:
        this.#streams.onRefuse(streamId, decodePayload(Refusal, chunk.subarray(payloadStart, payloadEnd)));
        break;
      case FrameType.control:
        this.#onControl(decodePayload(Control, chunk.subarray(payloadStart, payloadEnd)));
        break;
      case FrameType.goaway:
        this.#onGoaway();
        break;
    }
  }

  #refuseAll(): Refusal | null {
    return this.#state.kind === "open" && !this.#state.localDrain
      ? null
      : localRefusal("DRAINING", "This side takes no new streams.");
  }

  #onControl(control: Control): void {
    const state = this.#state;
    if (control.message?.$case !== "hello") {
      if (state.kind === "greeting")
        throw new FrameError("HELLO_INVALID", "The first control message must be the hello."); // E1
      if (control.message !== undefined) this.#options.onControl(control); // A kind that a later version has is ignored.
      return;
    }
    if (state.kind !== "greeting") throw new FrameError("HELLO_INVALID", "A second hello.");
    const peer = checkHello(control.message.value);
    clearTimeout(state.deadline);
    this.#state = { kind: "open", peer, localDrain: false, peerDrain: false };
    this.#greeted.resolve(peer);
  }

  #onGoaway(): void {
    if (this.#state.kind !== "open" || this.#state.peerDrain) return;
    this.#state = { ...this.#state, peerDrain: true };
    this.#options.onGoaway();
  }

  #closeWhenDrained(): void {
    if (this.#state.kind === "open" && this.#state.localDrain && this.#streams.size === 0) this.#close("drained");
  }

  #close(as: "closed" | "drained"): void {
    const state = this.#state;
    if (state.kind === "closing" || state.kind === "ended") return;
    if (state.kind === "greeting") clearTimeout(state.deadline);
    this.#state = { kind: "closing", as };
    this.#streams.resetAll(WireCode.cancelled, new TunnelError("TUNNEL_ENDED", "This side closed the tunnel."));
    this.#channel.close();
  }

  #onEnd(end: ChannelEnd): void {
    const state = this.#state;
    if (state.kind === "greeting") clearTimeout(state.deadline);
    const error = new TunnelError("TUNNEL_ENDED", `The tunnel ended: ${describeChannelEnd(end)}.`, { cause: end });
    this.#state = { kind: "ended", error }; // E2
    this.#greeted.reject(error);
    this.#streams.endAll(error);
    this.#ended.resolve(state.kind === "closing" && end.kind === "closed" ? { kind: state.as } : end);
  }
}
