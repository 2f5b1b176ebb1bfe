/**
 * A peer that does what a test says, byte by byte: also what no peer may do. It speaks the protocol with its own eyes (encodeFrame, FrameDecoder)
 * and none of its rules; only PINGs are answered by themselves, until `ignorePings`.
 */
import type { Duplex } from "node:stream";
import {
  FrameDecoder,
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  PING_ACK,
  encodeFrame,
  encodePing,
  u32At,
} from "@sallyport/frame";
import { Control, type Hello, StreamOpen } from "@sallyport/proto/tunnel";

export interface PeerFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export class ScriptedPeer {
  /** Resolves when the carrier is over, however that came. */
  readonly ended: Promise<void>;
  /** PINGs received. */
  pings = 0;
  readonly #carrier: Duplex;
  readonly #received: PeerFrame[] = [];
  readonly #arrived = new EventTarget();
  #over = false;
  #answerPings = true;

  constructor(carrier: Duplex) {
    this.#carrier = carrier;
    const decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) => {
      this.#onFrame({ type, flags, streamId, payload: Buffer.from(chunk.subarray(start + HEADER_BYTES, end)) });
    });
    carrier.on("data", (chunk: Buffer) => decoder.push(chunk));
    carrier.on("error", () => {});
    const ended = Promise.withResolvers<void>();
    this.ended = ended.promise;
    for (const event of ["end", "close"]) {
      carrier.on(event, () => {
        this.#over = true;
        this.#arrived.dispatchEvent(new Event("change"));
        ended.resolve();
      });
    }
  }

  /** Any bytes, whole frames or not. */
  send(...bytes: readonly Uint8Array[]): this {
    for (const each of bytes) this.#carrier.write(each);
    return this;
  }

  sendHello(fields: Partial<Hello> = {}): this {
    const hello = {
      protocolVersion: 1,
      maxStreams: 256,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software: "scripted/1",
      routerId: "",
      routerEpoch: 0,
      ...fields,
    };
    return this.send(
      encodeFrame(FrameType.control, 0, 0, Control.encode({ message: { $case: "hello", value: hello } }).finish()),
    );
  }

  sendOpen(streamId: number, service: string): this {
    const open = StreamOpen.create({ service, circuitNonce: Buffer.alloc(16, streamId) });
    return this.send(encodeFrame(FrameType.open, 0, streamId, StreamOpen.encode(open).finish()));
  }

  /** The next frame of `type`, those of other types before it are skipped. Rejects when the carrier is over before. */
  async next(type: number, signal: AbortSignal = AbortSignal.timeout(10_000)): Promise<PeerFrame> {
    for (;;) {
      for (let frame = this.#received.shift(); frame !== undefined; frame = this.#received.shift()) {
        if (frame.type === type) return frame;
      }
      if (this.#over) throw new Error(`The carrier was over before a frame of type ${type}.`);
      signal.throwIfAborted();
      await this.#change(signal);
    }
  }

  /** Frames of `type` that came and were not asked for yet. */
  waiting(type: number): number {
    return this.#received.filter((frame) => frame.type === type).length;
  }

  /** The wire code of the GOAWAY with which the other side ends the tunnel. */
  async goawayCode(): Promise<number> {
    return u32At((await this.next(FrameType.goaway)).payload, 0);
  }

  /** As a process that was stopped: alive for TCP, and silent. */
  ignorePings(): this {
    this.#answerPings = false;
    return this;
  }

  /** Reads nothing more, so that the carrier fills. */
  stopReading(): this {
    this.#carrier.pause();
    return this;
  }

  resumeReading(): this {
    this.#carrier.resume();
    return this;
  }

  /** The carrier's end, politely. */
  endCarrier(): this {
    this.#carrier.end();
    return this;
  }

  destroyCarrier(): this {
    this.#carrier.destroy();
    return this;
  }

  #onFrame(frame: PeerFrame): void {
    if (frame.type === FrameType.ping) {
      this.pings += 1;
      if (this.#answerPings && frame.flags !== PING_ACK) this.send(encodePing(frame.payload, true));
    }
    this.#received.push(frame);
    this.#arrived.dispatchEvent(new Event("change"));
  }

  async #change(signal: AbortSignal): Promise<void> {
    const changed = Promise.withResolvers<void>();
    const onAbort = (): void => changed.reject(signal.reason);
    const onChange = (): void => changed.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#arrived.addEventListener("change", onChange, { once: true });
    try {
      await changed.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#arrived.removeEventListener("change", onChange);
    }
  }
}
