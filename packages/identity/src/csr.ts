import { sign, verify, type KeyObject } from "node:crypto";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { emptyName } from "./certificate-builder.ts";
import { DerReader, oidOf, tags } from "./der.ts";
import { IdentityError } from "./errors.ts";
import { publicKeyOf, spkiOf } from "./keys.ts";
import { oids } from "./oids.ts";

const maxCsrBytes = 4096;
const attributesTag = 0xa0;

/** PKCS#10 (RFC 2986) for a P-256 key, without any name. */
export async function createCsr(privateKey: KeyObject): Promise<Buffer> {
  const request = new pkijs.CertificationRequest();
  request.version = 0;
  request.subject = emptyName();
  request.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(new Uint8Array(spkiOf(privateKey)).buffer);
  request.attributes = [];
  request.signatureAlgorithm = new pkijs.AlgorithmIdentifier({ algorithmId: oids.ecdsaWithSha256 });
  request.tbsView = new Uint8Array(infoOf(request));
  const signature = sign("sha256", request.tbsView, privateKey);
  request.signatureValue = new asn1js.BitString({ valueHex: new Uint8Array(signature).buffer });
  return Buffer.from(request.toSchema(false).toBER());
}

/** CertificationRequestInfo (RFC 2986 §4.1). */
function infoOf(request: pkijs.CertificationRequest): ArrayBuffer {
  return new asn1js.Sequence({
    value: [
      new asn1js.Integer({ value: request.version }),
      request.subject.toSchema(),
      request.subjectPublicKeyInfo.toSchema(),
      new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [] }),
    ],
  }).toBER();
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
