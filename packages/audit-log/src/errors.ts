export type AuditLogErrorCode =
  /** Not a SignedBlock or Block in protobuf, or a field of impossible shape. */
  | "BLOCK_MALFORMED"
  /** More events or bytes than a block or an event may have. */
  | "BLOCK_LIMIT_EXCEEDED"
  /** The certificate chain does not lead to a root of the bundle at that time. */
  | "SIGNER_UNTRUSTED"
  /** The signature is not the leaf key's over these bytes. */
  | "SIGNATURE_INVALID"
  /** The events are not those under the signed Merkle root. */
  | "MERKLE_ROOT_MISMATCH"
  /** An event breaks a rule of `audit.proto`; `field` names it. */
  | "EVENT_INVALID"
  /** Events were dropped, because the spool had no room for them. */
  | "SPOOL_FULL"
  /** The spool's folder cannot be written: blocks are kept in memory and published from there. */
  | "SPOOL_UNWRITABLE"
  /** A file in the spool is not a block of this identity; it was set aside. */
  | "SPOOL_DAMAGED"
  /** The receiver could not take a block now; it is tried again. */
  | "PUBLISH_FAILED"
  /** The receiver refused a block for good; it was set aside. */
  | "BLOCK_REFUSED"
  /** The event could not be encoded and was dropped. */
  | "EVENT_UNENCODABLE";

export class AuditLogError extends Error {
  override readonly name = "AuditLogError";
  readonly code: AuditLogErrorCode;
  /** Field of the event or block at fault, as named in `audit.proto`; absent when none is. */
  readonly field: string | undefined;

  constructor(
    code: AuditLogErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly field?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
  }
}
