import type { Duplex } from "node:stream";
import type { Control, Hello, StreamOpen } from "@sallyport/proto/tunnel";
import type { ChannelEnd } from "./channel-end.ts";
import type { OpenResult } from "./opening-stream.ts";
import type { TunnelOptions } from "./tunnel-options.ts";

/** How a tunnel ended: as its channel, or drained, when the last stream after `drain` was over. */
export type TunnelEnd = ChannelEnd | { readonly kind: "drained" };

/** What any implementation of a tunnel's end offers. `testing/tunnel-compliance.ts` is what it must pass. */
export interface TunnelEndpoint extends AsyncDisposable {
  /** The peer's; rejects with TunnelError TUNNEL_ENDED. */
  readonly hello: Promise<Hello>;
  /** Never rejects. */
  readonly closed: Promise<TunnelEnd>;
  /**
   * Waits for the peer's hello, sends OPEN, and waits for its answer; a refusal is a value. Rejects with TunnelError TUNNEL_ENDED, STREAM_RESET,
   * STREAM_IDS_EXHAUSTED or PAYLOAD_TOO_LARGE, or with the signal's reason, after which the peer was told that the stream is not wanted.
   */
  openStream(open: StreamOpen, options?: { readonly signal?: AbortSignal }): Promise<OpenResult>;
  /** Throws TunnelError PAYLOAD_TOO_LARGE when the message does not fit one frame. */
  sendControl(message: Control): void;
  /** Takes no new streams, lets the open ones finish, then closes: `closed` becomes `drained`. */
  drain(): void;
  /** Resets what is still open, sends what is queued, and ends. */
  close(): Promise<void>;
  /** Ends now, without what is queued; the peer is told `code` (WireCode) if it listens. */
  abort(code: number): void;
}

export type CreateTunnel = (carrier: Duplex, options: TunnelOptions) => TunnelEndpoint;
