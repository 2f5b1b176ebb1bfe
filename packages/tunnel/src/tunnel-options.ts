import type { Control } from "@sallyport/proto/tunnel";
import type { FrameChannelOptions } from "./frame-channel-options.ts";
import type { IncomingStream } from "./incoming-stream.ts";

export interface TunnelOptions {
  /** Which ids this side opens streams with: the workload's are odd, the router's even. */
  readonly side: "workload" | "router";
  /** For the record only, at most 64 bytes: `sallyport/0.1.0`. */
  readonly software: string;
  /** The router's SPIFFE ID; ignored on the workload's side. Default empty. */
  readonly routerId?: string;
  /** Of the router's boot; ignored on the workload's side. Default 0. */
  readonly routerEpoch?: number;
  /** Streams that the peer may have open at once; beyond it OPEN is refused with OVERLOADED. Default 256. */
  readonly maxStreams?: number;
  /** For the peer's hello. Default 5,000. */
  readonly helloTimeoutMs?: number;
  /** A stream that the peer asks for. Absent: all are refused with SERVICE_UNKNOWN. */
  readonly onOpen?: (incoming: IncomingStream) => void;
  /** Every control message but hello. */
  readonly onControl?: (message: Control) => void;
  /** The peer drains: it takes no new streams. */
  readonly onGoaway?: () => void;
  readonly channel?: FrameChannelOptions;
}

export interface ResolvedTunnelOptions {
  readonly side: "workload" | "router";
  readonly software: string;
  readonly routerId: string;
  readonly routerEpoch: number;
  readonly maxStreams: number;
  readonly helloTimeoutMs: number;
  readonly onOpen: ((incoming: IncomingStream) => void) | null;
  readonly onControl: (message: Control) => void;
  readonly onGoaway: () => void;
  readonly channel: FrameChannelOptions;
}

export function resolveTunnelOptions(options: TunnelOptions): ResolvedTunnelOptions {
  return {
    side: options.side,
    software: options.software,
    routerId: options.side === "router" ? (options.routerId ?? "") : "",
    routerEpoch: options.side === "router" ? (options.routerEpoch ?? 0) : 0,
    maxStreams: options.maxStreams ?? 256,
    helloTimeoutMs: options.helloTimeoutMs ?? 5000,
    onOpen: options.onOpen ?? null,
    onControl: options.onControl ?? ((): void => {}),
    onGoaway: options.onGoaway ?? ((): void => {}),
    channel: options.channel ?? {},
  };
}
