/** Stable codes. All but the last two are those of enrollment.proto. */
export type EnrollmentErrorCode =
  | "NAME_INVALID"
  | "TTL_OUT_OF_RANGE"
  | "KEY_THUMBPRINT_INVALID"
  | "TOKEN_UNKNOWN"
  | "TOKEN_EXPIRED"
  | "TOKEN_ALREADY_USED"
  | "TOKEN_KEY_MISMATCH"
  | "CSR_INVALID"
  | "IDENTITY_REVOKED"
  | "GENERATION_MISMATCH"
  | "RATE_LIMITED"
  | "REVOCATIONS_UNKNOWN"
  | "STORE_UNAVAILABLE";

/** Why somebody did not get what they asked for. The message never holds a token or its secret. */
export class EnrollmentError extends Error {
  override readonly name = "EnrollmentError";
  readonly code: EnrollmentErrorCode;
  /** What the caller can do about it, one sentence. */
  readonly remedy: string;

  constructor(
    code: EnrollmentErrorCode,
    message: string,
    options: { readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? "";
  }
}
