import { IdentityError } from "./errors.ts";

const begin = "-----BEGIN CERTIFICATE-----";
const end = "-----END CERTIFICATE-----";
const block = new RegExp(`${begin}\\r?\\n([A-Za-z0-9+/=\\r\\n]+)${end}`, "g");

/** Certificates as PEM (RFC 7468), in the given order. */
export function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => `${begin}\n${wrap(Buffer.from(der).toString("base64"))}\n${end}\n`).join("");
}

/**
 * The certificates of a PEM text, in order. Anything else in the text is an error.
 * @throws {IdentityError} PEM_INVALID
 */
export function derOf(pem: string): Buffer[] {
  const rest = pem.replace(block, "").trim();
  const certificates = [...pem.matchAll(block)].map((match) => Buffer.from(match[1] ?? "", "base64"));
  if (rest !== "" || certificates.length === 0)
    throw new IdentityError("PEM_INVALID", "Expected PEM certificates and nothing else.");
  return certificates;
}

function wrap(base64: string): string {
  return base64.match(/.{1,64}/g)?.join("\n") ?? "";
}
