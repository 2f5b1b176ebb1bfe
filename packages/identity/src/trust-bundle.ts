import { IdentityError } from "./errors.ts";
import { sha256Hex } from "./digest.ts";
import { checkTrustDomain } from "./spiffe-id.ts";

/** The roots that verify every SVID of one trust domain (SPIFFE Trust Domain and Bundle §4). No roots: nothing is valid. */
export interface TrustBundle {
  readonly trustDomain: string;
  /** DER, self-signed. */
  readonly roots: readonly Buffer[];
  /** Grows with every change of the content. */
  readonly sequence: number;
}

/** A bundle as it comes over the wire, checked and copied. */
export function trustBundle(input: {
  readonly trustDomain: string;
  readonly roots: readonly Uint8Array[];
  readonly sequence: number;
}): TrustBundle {
  checkTrustDomain(input.trustDomain);
  if (!Number.isSafeInteger(input.sequence) || input.sequence < 0)
    throw new IdentityError("CHAIN_INVALID", "A trust bundle's sequence is a whole number.");
  return {
    trustDomain: input.trustDomain,
    roots: input.roots.map((root) => Buffer.from(root)),
    sequence: input.sequence,
  };
}

/** SHA-256 of a root's DER, lower-case hexadecimal: what an enrollment token carries and a client pins. */
export function rootFingerprint(root: Uint8Array): string {
  return sha256Hex(root);
}
