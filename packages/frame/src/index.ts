export { Credit, INITIAL_WINDOW_BYTES, MAX_CREDIT_BYTES } from "./credit.ts";
export {
  dataRunBytes,
  encodeDataRun,
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeWindow,
  writeDataRun,
} from "./encode-frame.ts";
export { FrameDecoder, type FrameSink } from "./frame-decoder.ts";
export { FrameError, type FrameErrorCode } from "./frame-error.ts";
export { FrameType, PING_ACK } from "./frame-type.ts";
export {
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_STREAM_ID,
  flagsAt,
  patchStreamId,
  payloadBytesAt,
  setHeader,
  setU32,
  streamIdAt,
  typeAt,
  u32At,
} from "./header.ts";
export { MAX_OPENING_PAYLOAD_BYTES, checkHeader } from "./header-rules.ts";
export { WireCode, knownWireCode, wireCodeName } from "./wire-code.ts";
