import { IdentityError, type IdentityErrorCode } from "@sallyport/identity";

/** Stable codes; the meaning of one never changes. */
export type MtlsErrorCode =
  | "NO_CERTIFICATE"
  | "UNTRUSTED"
  | "FOREIGN_TRUST_DOMAIN"
  | "LEAF_INVALID"
  | "EXPIRED"
  | "IDENTITY_UNEXPECTED"
  | "HANDSHAKE_FAILED"
  | "HANDSHAKE_TIMEOUT"
  | "SESSION_RESUMED"
  | "ALPN_MISMATCH";

/** Why a handshake did not lead to a proven peer. */
export class MtlsError extends Error {
  override readonly name = "MtlsError";
  readonly code: MtlsErrorCode;

  constructor(code: MtlsErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** What a refusal by the rules of identities means for a handshake. */
export function refusalOf(cause: unknown): MtlsError {
  if (!(cause instanceof IdentityError))
    return new MtlsError("HANDSHAKE_FAILED", "The peer's certificate could not be checked.", { cause });
  return new MtlsError(codeOf(cause.code), cause.message, { cause });
}

function codeOf(code: IdentityErrorCode): MtlsErrorCode {
  if (code === "FOREIGN_TRUST_DOMAIN") return code;
  if (code === "EXPIRED" || code === "NOT_YET_VALID") return "EXPIRED";
  if (code === "UNTRUSTED" || code === "CHAIN_INVALID" || code === "ISSUER_INVALID") return "UNTRUSTED";
  return "LEAF_INVALID";
}

/** What OpenSSL's verdict on a path (`X509_V_ERR_*`) means for a handshake. */
export function pathErrorOf(verdict: string): MtlsError {
  if (verdict === "CERT_HAS_EXPIRED" || verdict === "CERT_NOT_YET_VALID")
    return new MtlsError("EXPIRED", `The peer's certificate is out of its time (${verdict}).`);
  return new MtlsError("UNTRUSTED", `The peer's certificate does not lead to a root of the trust bundle (${verdict}).`);
}
