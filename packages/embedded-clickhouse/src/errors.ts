export type EmbeddedClickhouseErrorCode =
  /** The processor or the operating system cannot run the engine. */
  | "ENGINE_UNSUPPORTED"
  /** The engine's package is not installed. */
  | "ENGINE_MISSING"
  /** Another process has the data folder open. */
  | "DATA_LOCKED"
  /** The engine's process ended before it was ready, or did not become ready in time. */
  | "ENGINE_START_FAILED"
  /** It was closed meanwhile. */
  | "CLOSED";

export class EmbeddedClickhouseError extends Error {
  override readonly name = "EmbeddedClickhouseError";
  readonly code: EmbeddedClickhouseErrorCode;
  /** What an operator can do, one sentence; empty when nothing helps. */
  readonly remedy: string;

  constructor(
    code: EmbeddedClickhouseErrorCode,
    message: string,
    options: { readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? "";
  }
}
