import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** What a workload presents: `spt1.<base64url JSON>.<secret>`. */
export interface TokenText {
  readonly trustDomain: string;
  /** SHA-256 of the root's DER, lower-case hexadecimal: how the workload recognizes us. */
  readonly rootFingerprint: string;
  /** `host:port`. */
  readonly routers: readonly string[];
  readonly id: string;
  /** 32 random bytes, base64url. */
  readonly secret: string;
}

const tokenId = /^[0-9a-f]{32}$/;
const maxSecretBytes = 128;

export function formatToken({ trustDomain, rootFingerprint, routers, id, secret }: TokenText): string {
  const facts = JSON.stringify({ td: trustDomain, root: rootFingerprint, routers, id });
  return `spt1.${Buffer.from(facts).toString("base64url")}.${secret}`;
}

export function newTokenId(): string {
  return randomBytes(16).toString("hex");
}

export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

export function isTokenId(id: string): boolean {
  return tokenId.test(id);
}

/** Hexadecimal. A fast hash suffices: the secret has 256 random bits. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Takes the same time for every secret of an allowed length. */
export function secretMatches(secret: string, sha256: string): boolean {
  if (secret.length > maxSecretBytes) return false;
  return timingSafeEqual(Buffer.from(hashSecret(secret)), Buffer.from(sha256));
}
