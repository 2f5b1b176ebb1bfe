/**
 * The way out of a channel: frames wait in the queue until the carrier takes a batch of them.
 *
 * O1. The carrier holds one batch (`batchBytes`), the queue the rest: what is queued can still be dropped or overtaken.
 * O2. What waits while congested costs memory in proportion to its bytes: small frames are packed.
 * O3. A large frame begins where a TLS record begins: full frames then travel one to a record, and arrive uncut. So a batch ends before an entry that
 *     begins with a large frame and that smaller ones have put out of step; the next begins when the carrier has taken it. Runs of small frames
 *     gain nothing by that, and would leave in a write each.
 * O4. A socket has copied what it was given when it calls back; another Duplex may pass the same bytes on. Only a socket's buffers are used again, or
 *     freed.
 */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HEADER_BYTES, MAX_FRAME_BYTES, dataRunBytes, payloadBytesAt, writeDataRun } from "@sallyport/frame";
import type { ResolvedFrameChannelOptions } from "./frame-channel-options.ts";
import { OutboundQueue } from "./outbound-queue.ts";
import { passedMemory } from "./passed-memory.ts";
import { RUN_BYTES, RunBuffers } from "./run-buffers.ts";

export interface OutboundEvents {
  /** The carrier got a batch. */
  readonly onHandOver: (now: number) => void;
  /** Not congested any more. */
  readonly onDrain: () => void;
  /** A flush left nothing in the queue. */
  readonly onEmpty: () => void;
}

/** Four full frames: what `writeData` takes at once. */
export const MAX_RUN_PAYLOAD_BYTES: number = RUN_BYTES - (RUN_BYTES / MAX_FRAME_BYTES) * HEADER_BYTES;

/** Frames from here on are worth a batch of their own (O3). */
const LARGE_PAYLOAD_BYTES = 8192;

const runBuffers = new RunBuffers();

export class Outbound {
  readonly #carrier: Duplex;
  readonly #options: ResolvedFrameChannelOptions;
  readonly #events: OutboundEvents;
  readonly #carrierCopies: boolean; // O4
  readonly #queue = new OutboundQueue();
  readonly #inFlight: Buffer[] = [];
  #flushScheduled = false;
  #congested = false;
  #handedOverAt = 0;

  constructor(carrier: Duplex, options: ResolvedFrameChannelOptions, events: OutboundEvents) {
    this.#carrier = carrier;
    this.#options = options;
    this.#events = events;
    this.#carrierCopies = carrier instanceof Socket;
  }

  get queuedBytes(): number {
    return this.#queue.bytes + this.#carrier.writableLength;
  }

  get congested(): boolean {
    return this.#congested;
  }

  push(frames: Buffer): void {
    const packed = this.#queue.push(frames, this.#congested); // O2
    if (packed && this.#options.relay !== null) this.#options.relay.bytesCopied += frames.length;
    this.#afterPush();
  }

  pushUrgent(frame: Buffer): void {
    this.#queue.pushUrgent(frame);
    this.#afterPush();
  }

  pushData(streamId: number, pieces: readonly Uint8Array[], offset: number, payloadBytes: number): void {
    const runBytes = dataRunBytes(payloadBytes);
    const run = this.#carrierCopies ? runBuffers.take(runBytes) : Buffer.allocUnsafe(runBytes);
    writeDataRun(run, streamId, pieces, offset, payloadBytes);
    this.push(run);
  }

  dropStream(streamId: number): number {
    return this.#queue.dropStream(streamId);
  }

  payloadBytesOf(streamId: number): number {
    return this.#queue.payloadBytesOf(streamId);
  }

  clear(): void {
    this.#queue.clear();
  }

  flush(): void {
    if (this.#queue.bytes > 0 && this.#inFlight.length === 0) this.#handOver();
    if (this.#congested && this.queuedBytes <= this.#options.highWaterBytes / 2) {
      this.#congested = false;
      this.#events.onDrain();
    }
    if (this.#queue.bytes === 0) this.#events.onEmpty();
  }

  /** For how long the carrier has held its batch; 0 when it holds none. */
  stalledMs(now: number): number {
    return this.#inFlight.length === 0 ? 0 : now - this.#handedOverAt;
  }

  readonly #flushSoon = (): void => {
    this.#flushScheduled = false;
    this.flush();
  };

  #afterPush(): void {
    if (this.queuedBytes >= this.#options.highWaterBytes) this.#congested = true;
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flushSoon);
  }

  /** O1, O3 */
  #handOver(): void {
    const carrier = this.#carrier;
    carrier.cork();
    for (let batchBytes = 0; batchBytes < this.#options.batchBytes;) {
      const next = this.#queue.next;
      if (next === null || (batchBytes % MAX_FRAME_BYTES !== 0 && payloadBytesAt(next, 0) >= LARGE_PAYLOAD_BYTES))
        break;
      this.#queue.shift();
      batchBytes += next.length;
      this.#inFlight.push(next);
      carrier.write(next, this.#onWritten);
    }
    carrier.uncork();
    if (this.#options.relay !== null) this.#options.relay.writes += 1;
    this.#handedOverAt = performance.now();
    this.#events.onHandOver(this.#handedOverAt);
  }

  readonly #onWritten = (error?: Error | null): void => {
    const frames = this.#inFlight.shift();
    if (error || frames === undefined) return; // The carrier reports its failure itself.
    if (this.#carrierCopies && this.#options.relay !== null) passedMemory.left(frames.buffer, frames.length);
    if (this.#carrierCopies) runBuffers.giveBack(frames);
    if (this.#inFlight.length === 0) this.flush();
  };
}
