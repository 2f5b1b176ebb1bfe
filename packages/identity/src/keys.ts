import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  verify,
  type KeyObject,
} from "node:crypto";
import { IdentityError } from "./errors.ts";

const coordinateBytes = 32;
/** A P-256 SubjectPublicKeyInfo (RFC 5480 §2) up to its point, and the mark of an uncompressed one. */
const p256Prefix = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");

/** A fresh P-256 pair. */
export function generateKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** DER SubjectPublicKeyInfo of a public key, or of the public half of a private one. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ type: "spki", format: "der" });
}

/**
 * Reads a P-256 SubjectPublicKeyInfo in its one DER form with an uncompressed point on the curve.
 * @throws {IdentityError} PUBLIC_KEY_UNSUPPORTED
 */
export function publicKeyOf(spki: Uint8Array): KeyObject {
  // OpenSSL would also read compressed points and explicit parameters: further spellings of the same key.
  const isP256 =
    spki.length === p256Prefix.length + 2 * coordinateBytes && p256Prefix.equals(spki.subarray(0, p256Prefix.length));
  if (!isP256)
    throw new IdentityError("PUBLIC_KEY_UNSUPPORTED", "Only P-256 keys with an uncompressed point are accepted.");
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (cause) {
    throw new IdentityError("PUBLIC_KEY_UNSUPPORTED", "The public key is not a point of P-256.", { cause });
  }
}

/** RFC 7638 thumbprint of a P-256 key: base64url of SHA-256 over its canonical JWK. */
export function thumbprint(spki: Uint8Array): string {
  publicKeyOf(spki);
  const point = Buffer.from(spki).subarray(-2 * coordinateBytes);
  const x = point.subarray(0, coordinateBytes).toString("base64url");
  const y = point.subarray(coordinateBytes).toString("base64url");
  return createHash("sha256").update(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`).digest("base64url");
}

/** ECDSA P-256 with SHA-256, IEEE P1363 form: 64 bytes. */
export function sign(key: KeyObject, bytes: Uint8Array): Buffer {
  return signBytes("sha256", bytes, { key, dsaEncoding: "ieee-p1363" });
}

/** Whether `signature` (IEEE P1363 form) over `bytes` is by the key. False, never an error, for a signature of a wrong shape. */
export function verifySignature(spki: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 2 * coordinateBytes) return false;
  return verify("sha256", bytes, { key: publicKeyOf(spki), dsaEncoding: "ieee-p1363" }, signature);
}

/** PKCS#8 PEM, AES-256-CBC under a passphrase that is the base64 of the 32-byte key-encryption key. */
export function sealPrivateKey(key: KeyObject, kek: Buffer): string {
  return key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: passphraseOf(kek) }).toString();
}

/**
 * Opens what `sealPrivateKey` made. An unsealed PEM is refused, so that a key at rest is never taken for protected when it is not.
 * @throws {IdentityError} KEY_UNREADABLE
 */
export function openPrivateKey(pem: string, kek: Buffer): KeyObject {
  if (!pem.startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
    throw new IdentityError("KEY_UNREADABLE", "The private key is not sealed.");
  try {
    return createPrivateKey({ key: pem, format: "pem", passphrase: passphraseOf(kek) });
  } catch {
    // The cause is dropped: an OpenSSL error says nothing more and could quote its input.
    throw new IdentityError(
      "KEY_UNREADABLE",
      "The private key cannot be opened: it was sealed under another key-encryption key, or it is damaged.",
    );
  }
}

function passphraseOf(kek: Buffer): string {
  if (kek.length !== 32) throw new IdentityError("KEY_UNREADABLE", "A key-encryption key has exactly 32 bytes.");
  return kek.toString("base64");
}
