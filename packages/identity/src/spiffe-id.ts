import { IdentityError } from "./errors.ts";

/** A SPIFFE ID (SPIFFE-ID §2), byte for byte as it was written. */
export interface SpiffeId {
  readonly uri: string;
  readonly trustDomain: string;
  /** Empty for the ID of the trust domain itself. */
  readonly segments: readonly string[];
}

const scheme = "spiffe://";
const maxIdBytes = 2048;
const maxTrustDomainBytes = 255;

/**
 * Reads a SPIFFE ID without normalising anything: what is not already in its only valid spelling is refused.
 * No URL parser, because those fold case, `..` and percent-encoding.
 * @throws {IdentityError} SPIFFE_ID_INVALID
 */
export function parseSpiffeId(uri: string): SpiffeId {
  if (uri.length > maxIdBytes) throw invalid(`it is longer than ${maxIdBytes} bytes`);
  if (!uri.startsWith(scheme)) throw invalid("it does not begin with spiffe://");
  const slash = uri.indexOf("/", scheme.length);
  const trustDomain = checkTrustDomain(slash < 0 ? uri.slice(scheme.length) : uri.slice(scheme.length, slash));
  const segments = slash < 0 ? [] : uri.slice(slash + 1).split("/");
  segments.forEach(checkSegment);
  return { uri, trustDomain, segments };
}

/** SPIFFE-ID §2.1: 1 to 255 of `[a-z0-9.-_]`. */
export function checkTrustDomain(trustDomain: string): string {
  if (trustDomain.length === 0) throw invalid("its trust domain is empty");
  if (trustDomain.length > maxTrustDomainBytes)
    throw invalid(`its trust domain is longer than ${maxTrustDomainBytes} bytes`);
  for (let at = 0; at < trustDomain.length; at += 1) {
    if (!isTrustDomainByte(trustDomain.charCodeAt(at)))
      throw invalid("its trust domain has a character outside [a-z0-9.-_]");
  }
  return trustDomain;
}

/** SPIFFE-ID §2.2: `[a-zA-Z0-9.-_]+`, neither `.` nor `..`. */
function checkSegment(segment: string): void {
  if (segment.length === 0) throw invalid("its path has an empty segment");
  if (segment === "." || segment === "..") throw invalid("its path has a relative segment");
  for (let at = 0; at < segment.length; at += 1) {
    const code = segment.charCodeAt(at);
    if (!isTrustDomainByte(code) && !isUpperCase(code))
      throw invalid("its path has a character outside [a-zA-Z0-9.-_]");
  }
}

function isTrustDomainByte(code: number): boolean {
  const isLowerCase = code >= 0x61 && code <= 0x7a;
  const isDigit = code >= 0x30 && code <= 0x39;
  return isLowerCase || isDigit || code === 0x2d || code === 0x2e || code === 0x5f;
}

function isUpperCase(code: number): boolean {
  return code >= 0x41 && code <= 0x5a;
}

function invalid(why: string): IdentityError {
  return new IdentityError("SPIFFE_ID_INVALID", `This is not a SPIFFE ID: ${why}.`);
}
