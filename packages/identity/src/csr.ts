import { sign, verify, type KeyObject } from "node:crypto";
import { DerReader, encode, oidOf, tags } from "./der.ts";
import { IdentityError } from "./errors.ts";
import { publicKeyOf, spkiOf } from "./keys.ts";
import { oids } from "./oids.ts";

const maxCsrBytes = 4096;
const attributesTag = 0xa0;

/** `SEQUENCE { OBJECT IDENTIFIER ecdsa-with-SHA256 }` */
const ecdsaWithSha256 = Buffer.from("300a06082a8648ce3d040302", "hex");
const version1 = Buffer.from("020100", "hex");
const noName = Buffer.from("3000", "hex");
const noAttributes = Buffer.from("a000", "hex");

/** PKCS#10 (RFC 2986 §4) for a P-256 key, without any name. Written out, so that a process that only asks for certificates loads no builder. */
export async function createCsr(privateKey: KeyObject): Promise<Buffer> {
  const info = encode(tags.sequence, version1, noName, spkiOf(privateKey), noAttributes);
  const signature = sign("sha256", info, privateKey);
  return encode(tags.sequence, info, ecdsaWithSha256, encode(tags.bitString, Buffer.of(0), signature));
}

/**
 * Checks a request's size, its P-256 key and that its holder signed it. Its names and attributes are skipped unread: the identity comes
 * from the evidence beside it.
 * @throws {IdentityError} CSR_INVALID, PUBLIC_KEY_UNSUPPORTED
 */
export async function verifyCsr(der: Uint8Array): Promise<{ readonly spki: Buffer }> {
  if (der.length > maxCsrBytes) throw invalid(`it is larger than ${maxCsrBytes} bytes`);
  const { info, spki, algorithm, signature } = read(der);
  if (algorithm !== oids.ecdsaWithSha256) throw invalid("it is not signed by ECDSA with SHA-256");
  if (!verify("sha256", info, publicKeyOf(spki), signature)) throw invalid("its signature is not by its own key");
  return { spki };
}

function read(der: Uint8Array): {
  readonly info: Buffer;
  readonly spki: Buffer;
  readonly algorithm: string;
  readonly signature: Buffer;
} {
  try {
    const outer = new DerReader(der);
    const request = outer.enter(tags.sequence);
    outer.end();
    const info = request.read(tags.sequence);
    const algorithm = oidOf(request.enter(tags.sequence).read(tags.oid).value);
    const bits = request.read(tags.bitString).value;
    request.end();
    if (bits[0] !== 0) throw invalid("its signature does not consist of whole bytes");
    return { info: info.encoding, spki: spkiIn(info.value), algorithm, signature: bits.subarray(1) };
  } catch (cause) {
    throw new IdentityError("CSR_INVALID", "The certificate request is refused: it is not PKCS#10 in DER.", { cause });
  }
}

function spkiIn(content: Buffer): Buffer {
  const info = new DerReader(content);
  if (!info.read(tags.integer).value.equals(Buffer.of(0))) throw invalid("its version is not 1");
  info.read(tags.sequence);
  const spki = info.read(tags.sequence).encoding;
  info.readOptional(attributesTag);
  info.end();
  return spki;
}

function invalid(why: string): IdentityError {
  return new IdentityError("CSR_INVALID", `The certificate request is refused: ${why}.`);
}
