export { type ChannelEnd, describeChannelEnd } from "./channel-end.ts";
export { DEFAULT_FRAME_RATES, FrameBudget, type FrameRate, type FrameRates } from "./frame-budget.ts";
export { FrameChannel } from "./frame-channel.ts";
export type { FrameChannelOptions } from "./frame-channel-options.ts";
export type { FrameHandler } from "./frame-handler.ts";
export { tuneHeapForBuffers } from "./heap-for-buffers.ts";
export { PROTOCOL_VERSION, checkHello } from "./hello.ts";
export type { IncomingStream } from "./incoming-stream.ts";
export {
  MAX_MESSAGE_BYTES,
  type MessageCodec,
  type MessageOptions,
  readMessage,
  writeMessage,
} from "./length-delimited.ts";
export type { OpenResult } from "./opening-stream.ts";
export { decodePayload } from "./payload.ts";
export { RelayCounters } from "./relay-counters.ts";
export { StreamIds } from "./stream-ids.ts";
export { Tunnel } from "./tunnel.ts";
export type { CreateTunnel, TunnelEnd, TunnelEndpoint } from "./tunnel-endpoint.ts";
export { TunnelError, type TunnelErrorCode } from "./tunnel-error.ts";
export type { TunnelOptions } from "./tunnel-options.ts";
export { type StreamPort, TunnelStream } from "./tunnel-stream.ts";
