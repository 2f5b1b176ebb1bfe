import { isName } from "@sallyport/identity";
import { EnrollmentError } from "../errors.ts";
import { hashSecret, newSecret, newTokenId } from "./token-text.ts";
import type { Token } from "./token.ts";

const defaultTtlSeconds = 1800;
const minTtlSeconds = 10;
const maxTtlSeconds = 86_400;
/** base64url of 32 bytes. */
const thumbprintPattern = /^[A-Za-z0-9_-]{43}$/;

export interface TokenRequest {
  readonly workload: string;
  /** 0: half an hour. */
  readonly ttlSeconds: number;
  readonly keyThumbprint: string;
  /** SPIFFE ID. */
  readonly createdBy: string;
}

/**
 * A token and its secret, which is kept nowhere.
 * @throws {EnrollmentError} NAME_INVALID, TTL_OUT_OF_RANGE, KEY_THUMBPRINT_INVALID
 */
export function newToken(request: TokenRequest, nowUnixMs: number): { readonly token: Token; readonly secret: string } {
  const { workload, keyThumbprint, createdBy } = request;
  if (!isName(workload))
    throw new EnrollmentError("NAME_INVALID", "A workload's name must match [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?.", {
      remedy: "Use lower-case letters, digits and inner hyphens, at most 63, such as `files-agent`.",
    });
  if (keyThumbprint !== "" && !thumbprintPattern.test(keyThumbprint)) {
    throw new EnrollmentError("KEY_THUMBPRINT_INVALID", "A key thumbprint is the base64url SHA-256 of RFC 7638.", {
      remedy: "Leave it empty to bind the token to the first key that redeems it.",
    });
  }
  const ttlSeconds = request.ttlSeconds === 0 ? defaultTtlSeconds : request.ttlSeconds;
  if (ttlSeconds < minTtlSeconds || ttlSeconds > maxTtlSeconds) {
    throw new EnrollmentError("TTL_OUT_OF_RANGE", `A token lives from ${minTtlSeconds} to ${maxTtlSeconds} seconds.`, {
      remedy: `Leave it out for the default of ${defaultTtlSeconds} seconds.`,
    });
  }
  const secret = newSecret();
  const token: Token = {
    id: newTokenId(),
    workload,
    secretSha256: hashSecret(secret),
    createdBy,
    createdAtUnixMs: nowUnixMs,
    expiresAtUnixMs: nowUnixMs + ttlSeconds * 1000,
    keyThumbprint,
    state: { kind: "unused" },
  };
  return { token, secret };
}
