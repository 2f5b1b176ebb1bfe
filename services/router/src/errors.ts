export type RouterErrorCode =
  /** A required setting is missing or malformed. */
  | "CONFIG_INVALID"
  /** The public port cannot be opened. */
  | "LISTEN_FAILED"
  /** A peer broke the tunnel's protocol (packages/frame/spec.md). */
  | "PROTOCOL"
  /** JetStream did not take a message. */
  | "BUS_UNAVAILABLE";

export class RouterError extends Error {
  override readonly name = "RouterError";
  readonly code: RouterErrorCode;
  /** What the operator can do, one sentence; empty when nothing. */
  readonly remedy: string;

  constructor(
    code: RouterErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly remedy?: string } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? "";
  }
}
