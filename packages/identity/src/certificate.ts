import { booleanOf, DerReader, malformed, oidOf, tags, timeOf, unsignedHexOf, type Element } from "./der.ts";

export interface Extension {
  readonly critical: boolean;
  /** The content of extnValue. */
  readonly value: Buffer;
}

/** The fields of a certificate (RFC 5280 §4.1) that checks need, from strict DER. Nothing is judged here. */
export interface Certificate {
  readonly der: Buffer;
  /** What the signature covers. */
  readonly tbs: Buffer;
  /** Lower-case hexadecimal of whole bytes, without a sign byte. */
  readonly serial: string;
  /** DER of the names, compared byte for byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly spki: Buffer;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly signatureAlgorithm: string;
  /** DER ECDSA-Sig-Value for our algorithms. */
  readonly signature: Buffer;
}

const contextTag0 = 0xa0;
const contextTag3 = 0xa3;
const maxCertificateBytes = 16_384;

/** @throws {IdentityError} CERTIFICATE_MALFORMED */
export function readCertificate(der: Uint8Array): Certificate {
  if (der.length > maxCertificateBytes) throw malformed(`it is larger than ${maxCertificateBytes} bytes`);
  const outer = new DerReader(der);
  const certificate = outer.enter(tags.sequence);
  outer.end();
  const tbs = certificate.read(tags.sequence);
  const algorithm = certificate.read(tags.sequence);
  const signature = wholeBits(certificate.read(tags.bitString).value);
  certificate.end();
  const fields = readTbs(tbs.value, algorithm.encoding);
  return { der: Buffer.from(der), tbs: tbs.encoding, signatureAlgorithm: algorithmOf(algorithm), signature, ...fields };
}

type TbsFields = Omit<Certificate, "der" | "tbs" | "signatureAlgorithm" | "signature">;

function readTbs(content: Buffer, outerAlgorithm: Buffer): TbsFields {
  const tbs = new DerReader(content);
  const version = tbs.enter(contextTag0);
  if (!version.read(tags.integer).value.equals(Buffer.of(2))) throw malformed("it is not version 3");
  version.end();
  const serial = serialOf(tbs.read(tags.integer).value);
  // RFC 5280 §4.1.1.2: both algorithm fields must be the same.
  if (!tbs.read(tags.sequence).encoding.equals(outerAlgorithm)) throw malformed("its two signature algorithms differ");
  const issuer = tbs.read(tags.sequence).encoding;
  const validity = tbs.enter(tags.sequence);
  const notBefore = readTime(validity);
  const notAfter = readTime(validity);
  validity.end();
  const subject = tbs.read(tags.sequence).encoding;
  const spki = tbs.read(tags.sequence).encoding;
  const extensions = readExtensions(tbs.enter(contextTag3));
  tbs.end();
  return { serial, issuer, subject, notBefore, notAfter, spki, extensions };
}

function serialOf(value: Buffer): string {
  const serial = unsignedHexOf(value);
  if (value.length > 20 || /^0+$/.test(serial)) throw malformed("its serial is zero or longer than 20 bytes");
  return serial;
}

function readTime(reader: DerReader): Date {
  return timeOf(reader.read(reader.peekTag() === tags.utcTime ? tags.utcTime : tags.generalizedTime));
}

function readExtensions(wrapper: DerReader): ReadonlyMap<string, Extension> {
  const list = wrapper.enter(tags.sequence);
  wrapper.end();
  const extensions = new Map<string, Extension>();
  while (!list.atEnd) {
    const extension = list.enter(tags.sequence);
    const oid = oidOf(extension.read(tags.oid).value);
    const critical = extension.readOptional(tags.boolean);
    const value = extension.read(tags.octetString).value;
    extension.end();
    if (extensions.has(oid)) throw malformed(`extension ${oid} occurs twice`);
    extensions.set(oid, { critical: critical !== null && booleanOf(critical.value), value });
  }
  return extensions;
}

function algorithmOf(algorithm: Element): string {
  return oidOf(new DerReader(algorithm.value).read(tags.oid).value);
}

function wholeBits(value: Buffer): Buffer {
  if (value[0] !== 0) throw malformed("a signature does not consist of whole bytes");
  return value.subarray(1);
}
