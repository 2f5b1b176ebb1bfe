export type TunnelErrorCode =
  /** The tunnel ended before or while this was going on. */
  | "TUNNEL_ENDED"
  /** The peer reset the stream; `wireCode` says why. */
  | "STREAM_RESET"
  /** Every stream id of this side is used: a fresh tunnel is needed. */
  | "STREAM_IDS_EXHAUSTED"
  /** An incoming stream was answered twice, or after its dialer gave up. */
  | "STREAM_ANSWERED"
  /** A message of a built-in stream is over 1 MiB or does not decode. */
  | "MESSAGE_INVALID"
  /** The stream ended inside a message. */
  | "MESSAGE_TRUNCATED"
  /** The payload of a frame to send is larger than the protocol allows. */
  | "PAYLOAD_TOO_LARGE";

export class TunnelError extends Error {
  override readonly name = "TunnelError";
  readonly code: TunnelErrorCode;
  /** For STREAM_RESET: the code on the wire (WireCode). */
  readonly wireCode: number | null;

  constructor(code: TunnelErrorCode, message: string, options?: ErrorOptions & { readonly wireCode?: number }) {
    super(message, options);
    this.code = code;
    this.wireCode = options?.wireCode ?? null;
  }
}
