import type { ChannelEnd } from "./channel-end.ts";

/** Who is behind a FrameChannel: an endpoint's Tunnel, or a router's splice. What a method throws ends the channel; a FrameError tells the peer its code. */
export interface FrameHandler {
  /**
   * One frame that passed the rules of its header; never PING, and GOAWAY only with code 0. `chunk[start]` is the first byte of its header,
   * `chunk[end - 1]` the last of its payload. The bytes belong to the callee: the id may be patched in place and slices be forwarded.
   */
  onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): void;
  /** Every frame of a chunk was reported: the moment to flush what was forwarded. */
  onBatchEnd(): void;
  /** The channel is no longer congested. */
  onDrain?(): void;
  /** Once, the last call. */
  onEnd(end: ChannelEnd): void;
}
