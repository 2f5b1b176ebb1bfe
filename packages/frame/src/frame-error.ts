import { WireCode } from "./wire-code.ts";

/** What a peer did against the protocol. Each ends the tunnel. */
export type FrameErrorCode =
  | "FRAME_TYPE_UNKNOWN"
  | "FRAME_LENGTH_INVALID"
  | "FRAME_FLAGS_INVALID"
  | "FRAME_TRUNCATED"
  | "STREAM_ID_INVALID"
  | "STREAM_STATE_INVALID"
  | "PAYLOAD_INVALID"
  | "HELLO_INVALID"
  | "VERSION_UNSUPPORTED"
  | "CREDIT_EXCEEDED"
  | "CREDIT_OVERFLOW"
  | "RATE_EXCEEDED";

const wireCodes: Readonly<Record<FrameErrorCode, number>> = {
  FRAME_TYPE_UNKNOWN: WireCode.protocol,
  FRAME_LENGTH_INVALID: WireCode.protocol,
  FRAME_FLAGS_INVALID: WireCode.protocol,
  FRAME_TRUNCATED: WireCode.protocol,
  STREAM_ID_INVALID: WireCode.protocol,
  STREAM_STATE_INVALID: WireCode.protocol,
  PAYLOAD_INVALID: WireCode.protocol,
  HELLO_INVALID: WireCode.protocol,
  VERSION_UNSUPPORTED: WireCode.version,
  CREDIT_EXCEEDED: WireCode.flowControl,
  CREDIT_OVERFLOW: WireCode.flowControl,
  RATE_EXCEEDED: WireCode.limit,
};

/** A violation of the frame protocol by the peer. `wireCode` is what GOAWAY tells it. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code: FrameErrorCode;
  readonly wireCode: number;

  constructor(code: FrameErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.wireCode = wireCodes[code];
  }
}
