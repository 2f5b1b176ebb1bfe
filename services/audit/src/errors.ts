export type AuditErrorCode =
  /** The store did not answer. */
  | "STORE_UNAVAILABLE"
  /** The bus did not answer. */
  | "BUS_UNAVAILABLE"
  /** The store will never take these rows. */
  | "STORE_REFUSED"
  /** A search or tail asks for something that does not exist; `field` names it. */
  | "FILTER_INVALID"
  /** A tail's caller reads more slowly than events come. */
  | "TAIL_TOO_SLOW"
  /** More tails are open than one process serves. */
  | "TAIL_LIMIT_EXCEEDED"
  /** A message on the bus is not a block of the one who handed it over. */
  | "BLOCK_MISATTRIBUTED";

export class AuditError extends Error {
  override readonly name = "AuditError";
  readonly code: AuditErrorCode;
  /** Field of the request at fault, as in `audit.proto`; empty when none is. */
  readonly field: string;

  constructor(
    code: AuditErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly field?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field ?? "";
  }
}
