/**
 * Finds frames in the chunks of a carrier.
 *
 * D1. A frame that lies whole in a chunk is reported as offsets into that chunk: no copy, no object.
 * D2. A frame cut by the end of a chunk is put together in one buffer of exactly its size, and nothing is allocated before its header passed
 *     `checkHeader`. So a peer makes us hold at most one frame.
 * D3. Frames are reported in order, and never after an error.
 */
import { FrameError } from "./frame-error.ts";
import { HEADER_BYTES, flagsAt, payloadBytesAt, streamIdAt, typeAt } from "./header.ts";
import { checkHeader } from "./header-rules.ts";

/** Called once per frame. `chunk[start]` is the first byte of the header, `chunk[end - 1]` the last byte of the payload. */
export type FrameSink = (
  type: number,
  flags: number,
  streamId: number,
  chunk: Buffer,
  start: number,
  end: number,
) => void;

export class FrameDecoder {
  readonly #sink: FrameSink;
  // D2: first the bytes of a cut header, then the bytes of a cut frame.
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES);
  #frame: Buffer | null = null;
  #carried = 0;
  #copiedBytes = 0;
  #stopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether the bytes so far end between two frames. */
  get atBoundary(): boolean {
    return this.#carried === 0;
  }

  /** Of all chunks so far: the bytes of frames that a chunk's end cut (D2). */
  get copiedBytes(): number {
    return this.#copiedBytes;
  }

  /** No further frame is reported, also not of the chunk at hand. */
  stop(): void {
    this.#stopped = true;
  }

  /** Reports every frame that `chunk` completes. Throws FrameError at the first bad header; the decoder is of no use after that. */
  push(chunk: Buffer): void {
    if (this.#stopped) return;
    let at = this.#carried === 0 ? 0 : this.#complete(chunk, 0);
    while (!this.#stopped && chunk.length - at >= HEADER_BYTES) {
      const payloadBytes = payloadBytesAt(chunk, at);
      const type = typeAt(chunk, at);
      const flags = flagsAt(chunk, at);
      const streamId = streamIdAt(chunk, at);
      this.#check(payloadBytes, type, flags, streamId);
      const end = at + HEADER_BYTES + payloadBytes;
      if (end > chunk.length) break;
      this.#sink(type, flags, streamId, chunk, at, end); // D1
      at = end;
    }
    if (at < chunk.length && !this.#stopped) this.#complete(chunk, at);
  }

  /** The carrier ended. Throws FRAME_TRUNCATED when it ended inside a frame. */
  finish(): void {
    if (this.atBoundary || this.#stopped) return;
    this.#stopped = true;
    throw new FrameError("FRAME_TRUNCATED", "The carrier ended inside a frame.");
  }

  /** Takes bytes for the cut frame and reports it once whole. Returns where the next frame starts in `chunk`. */
  #complete(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#frame === null) {
      at += this.#carry(chunk, at, this.#header, HEADER_BYTES);
      if (this.#carried < HEADER_BYTES) return at;
      this.#frame = this.#allocate(this.#header);
    }
    const frame = this.#frame;
    at += this.#carry(chunk, at, frame, frame.length);
    if (this.#carried < frame.length) return at;
    this.#frame = null;
    this.#carried = 0;
    this.#sink(typeAt(frame, 0), flagsAt(frame, 0), streamIdAt(frame, 0), frame, 0, frame.length);
    return at;
  }

  #carry(chunk: Buffer, from: number, target: Buffer, targetBytes: number): number {
    const taken = Math.min(targetBytes - this.#carried, chunk.length - from);
    chunk.copy(target, this.#carried, from, from + taken);
    this.#carried += taken;
    this.#copiedBytes += taken;
    return taken;
  }

  #allocate(header: Buffer): Buffer {
    const payloadBytes = payloadBytesAt(header, 0);
    this.#check(payloadBytes, typeAt(header, 0), flagsAt(header, 0), streamIdAt(header, 0));
    const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
    header.copy(frame, 0);
    return frame;
  }

  #check(payloadBytes: number, type: number, flags: number, streamId: number): void {
    try {
      checkHeader(payloadBytes, type, flags, streamId);
    } catch (error) {
      this.#stopped = true; // D3
      throw error;
    }
  }
}
