import { checkHeader } from "./header-rules.ts";

/** A frame as an object with bytes of its own. */
export interface NaiveFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/**
 * The decoder as one would write it first: everything joined, an object per frame, Node's own reads. It is what FrameDecoder is tested against and
 * measured against, and nothing else.
 */
export class NaiveFrameDecoder {
  #pending: Buffer = Buffer.alloc(0);

  get pendingBytes(): number {
    return this.#pending.length;
  }

  /** The frames that `chunk` completes; `error` when a bad header follows them. */
  push(chunk: Buffer): { readonly frames: readonly NaiveFrame[]; readonly error: unknown } {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const frames: NaiveFrame[] = [];
    while (this.#pending.length >= 8) {
      const payloadBytes = this.#pending.readUInt16BE(0);
      const type = this.#pending.readUInt8(2);
      const flags = this.#pending.readUInt8(3);
      const streamId = this.#pending.readUInt32BE(4);
      try {
        checkHeader(payloadBytes, type, flags, streamId);
      } catch (error) {
        return { frames, error };
      }
      if (this.#pending.length < 8 + payloadBytes) break;
      frames.push({ type, flags, streamId, payload: Buffer.from(this.#pending.subarray(8, 8 + payloadBytes)) });
      this.#pending = this.#pending.subarray(8 + payloadBytes);
    }
    return { frames, error: null };
  }
}
