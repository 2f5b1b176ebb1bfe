/** Stable codes of faults inside the CA. What callers see are the codes of ca.proto. */
export type CaErrorCode =
  | "STATE_INVALID"
  | "LOG_CORRUPT"
  | "LOG_UNAVAILABLE"
  | "SPIFFE_ID_INVALID"
  | "TTL_OUT_OF_RANGE"
  | "REQUEST_ID_INVALID"
  | "BOOTSTRAP_UNKNOWN";

export class CaError extends Error {
  override readonly name = "CaError";
  readonly code: CaErrorCode;
  /** What the operator or caller can do about it, one sentence. */
  readonly remedy: string;

  constructor(
    code: CaErrorCode,
    message: string,
    options: { readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? "";
  }
}
