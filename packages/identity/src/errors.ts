/** Stable codes; the meaning of one never changes. */
export type IdentityErrorCode =
  | "SPIFFE_ID_INVALID"
  | "NAME_INVALID"
  | "IDENTITY_KIND_UNKNOWN"
  | "CERTIFICATE_MALFORMED"
  | "LEAF_INVALID"
  | "ISSUER_INVALID"
  | "CHAIN_INVALID"
  | "UNTRUSTED"
  | "FOREIGN_TRUST_DOMAIN"
  | "EXPIRED"
  | "NOT_YET_VALID"
  | "CSR_INVALID"
  | "PUBLIC_KEY_UNSUPPORTED"
  | "KEY_MISMATCH"
  | "KEY_UNREADABLE"
  | "PEM_INVALID"
  | "TTL_OUT_OF_RANGE"
  | "IDENTITY_CHANGED";

/** The one error of this package. Its message never holds key material. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  readonly code: IdentityErrorCode;

  constructor(code: IdentityErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
