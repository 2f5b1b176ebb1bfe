import { verify } from "node:crypto";
import type { Certificate } from "./certificate.ts";
import { sha256Hex } from "./digest.ts";
import { publicKeyOf } from "./keys.ts";
import { oids } from "./oids.ts";

/** Of 128 characters each. */
const maxRemembered = 4_096;

/**
 * Which certificate was found to be signed with which key: a fact of the two, whatever the time and whoever is trusted. The same peers come again and
 * again, under the same few issuers, and a signature costs more than everything else in a chain together.
 */
const signed = new Set<string>();

/** Whether `issuer`'s key signed `subject`, by ECDSA P-256 with SHA-256. */
export function isSignedBy(subject: Certificate, issuer: Certificate): boolean {
  if (subject.signatureAlgorithm !== oids.ecdsaWithSha256) return false;
  const fact = sha256Hex(subject.der) + sha256Hex(issuer.spki);
  if (signed.has(fact)) return true;
  const isSigned = verify("sha256", subject.tbs, publicKeyOf(issuer.spki), subject.signature);
  if (isSigned) remember(fact);
  return isSigned;
}

function remember(fact: string): void {
  if (signed.size >= maxRemembered) {
    for (const oldest of signed) {
      signed.delete(oldest);
      break;
    }
  }
  signed.add(fact);
}
