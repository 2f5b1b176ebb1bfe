/**
 * The one file that loads pkijs. Few processes issue certificates, so it is no part of the package's main entry and is loaded when the first
 * certificate is made.
 */
import { createHash, randomBytes, sign, type KeyObject } from "node:crypto";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { oids } from "./oids.ts";

/** What a certificate shall say, before anyone judges whether it may: attacks in tests are built with it too. */
export interface CertificateTemplate {
  readonly spki: Uint8Array;
  /** Common name; null for an empty subject. */
  readonly subject: string | null;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly ExtensionTemplate[];
  /** Big-endian magnitude. Default: 126 random bits, positive. */
  readonly serial?: Uint8Array;
}

export interface ExtensionTemplate {
  readonly oid: string;
  readonly critical: boolean;
  /** DER of the extension's value. */
  readonly der: Uint8Array;
}

/**
 * Builds and signs (ECDSA P-256, SHA-256).
 * @param issuer its common name, or the DER of its name as its own certificate has it
 */
export function buildCertificate(template: CertificateTemplate, issuer: string | Uint8Array, key: KeyObject): Buffer {
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  certificate.serialNumber = new asn1js.Integer({ valueHex: arrayBufferOf(template.serial ?? randomSerial()) });
  certificate.issuer = typeof issuer === "string" ? nameOf(issuer) : readName(issuer);
  certificate.subject = nameOf(template.subject);
  certificate.notBefore = timeOf(template.notBefore);
  certificate.notAfter = timeOf(template.notAfter);
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(arrayBufferOf(template.spki));
  certificate.extensions = template.extensions.map(extensionOf);
  const algorithm = new pkijs.AlgorithmIdentifier({ algorithmId: oids.ecdsaWithSha256 });
  certificate.signature = algorithm;
  certificate.signatureAlgorithm = algorithm;
  // Signed by node:crypto rather than by pkijs, so that the key never becomes an exportable WebCrypto key.
  const tbs = Buffer.from(certificate.encodeTBS().toBER());
  certificate.signatureValue = new asn1js.BitString({ valueHex: arrayBufferOf(sign("sha256", tbs, key)) });
  return Buffer.from(certificate.toSchema(true).toBER());
}

/** Each extension that our certificates use, as RFC 5280 §4.2.1 encodes it. */
export interface ExtensionBuilder {
  basicConstraints(isCa: boolean, pathLength?: number): ExtensionTemplate;
  keyUsage(bits: number): ExtensionTemplate;
  extKeyUsage(purposes: readonly string[]): ExtensionTemplate;
  uris(uris: readonly string[], critical: boolean): ExtensionTemplate;
  subjectKeyIdentifier(spki: Uint8Array): ExtensionTemplate;
  authorityKeyIdentifier(keyIdentifier: Uint8Array): ExtensionTemplate;
}

export const extensionTemplates: ExtensionBuilder = {
  basicConstraints: (isCa, pathLength) => ({
    oid: oids.basicConstraints,
    critical: true,
    der: derOf(
      new pkijs.BasicConstraints({
        cA: isCa,
        ...(pathLength === undefined ? {} : { pathLenConstraint: pathLength }),
      }).toSchema(),
    ),
  }),
  keyUsage: (bits) => ({
    oid: oids.keyUsage,
    critical: true,
    der: derOf(new asn1js.BitString({ valueHex: arrayBufferOf(Uint8Array.of(bits)), unusedBits: unusedBitsOf(bits) })),
  }),
  extKeyUsage: (purposes) => ({
    oid: oids.extKeyUsage,
    critical: false,
    der: derOf(new pkijs.ExtKeyUsage({ keyPurposes: [...purposes] }).toSchema()),
  }),
  uris: (uris, critical) => ({
    oid: oids.subjectAltName,
    critical,
    der: derOf(
      new pkijs.GeneralNames({ names: uris.map((value) => new pkijs.GeneralName({ type: 6, value })) }).toSchema(),
    ),
  }),
  subjectKeyIdentifier: (spki) => ({
    oid: oids.subjectKeyIdentifier,
    critical: false,
    der: derOf(new asn1js.OctetString({ valueHex: arrayBufferOf(keyIdentifierOf(spki)) })),
  }),
  authorityKeyIdentifier: (keyIdentifier) => ({
    oid: oids.authorityKeyIdentifier,
    critical: false,
    der: derOf(
      new pkijs.AuthorityKeyIdentifier({
        keyIdentifier: new asn1js.OctetString({ valueHex: arrayBufferOf(keyIdentifier) }),
      }).toSchema(),
    ),
  }),
};

/** RFC 7093 §2 method 1: the leftmost 160 bits of SHA-256 over the SubjectPublicKeyInfo's bits, here over its whole DER. */
export function keyIdentifierOf(spki: Uint8Array): Buffer {
  return createHash("sha256").update(spki).digest().subarray(0, 20);
}

/** DER in which the last bits of a named bit list are trimmed (X.690 §11.2.2). */
function unusedBitsOf(bits: number): number {
  let unused = 0;
  while (unused < 7 && (bits & (1 << unused)) === 0) unused += 1;
  return unused;
}

/** 16 bytes with a first byte of 0x40 to 0x7f: positive, minimal, 126 random bits. */
function randomSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
function timeOf(value: Date): pkijs.Time {
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

function nameOf(commonName: string | null): pkijs.RelativeDistinguishedNames {
  if (commonName === null) return emptyName();
  const attribute = new pkijs.AttributeTypeAndValue({
    type: oids.commonName,
    value: new asn1js.Utf8String({ value: commonName }),
  });
  return new pkijs.RelativeDistinguishedNames({ typesAndValues: [attribute] });
}

/** An empty SEQUENCE. pkijs itself would put an empty SET in it, which RFC 5280 does not allow. */
function emptyName(): pkijs.RelativeDistinguishedNames {
  return readName(Buffer.from("3000", "hex"));
}

function readName(der: Uint8Array): pkijs.RelativeDistinguishedNames {
  return pkijs.RelativeDistinguishedNames.fromBER(arrayBufferOf(der));
}

function extensionOf(extension: ExtensionTemplate): pkijs.Extension {
  return new pkijs.Extension({
    extnID: extension.oid,
    critical: extension.critical,
    extnValue: arrayBufferOf(extension.der),
  });
}

function derOf(schema: { toBER(): ArrayBuffer }): Buffer {
  return Buffer.from(schema.toBER());
}

function arrayBufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
