import type { Certificate } from "./certificate.ts";
import { booleanOf, DerReader, malformed, oidOf, tags, unsignedHexOf } from "./der.ts";
import { oids } from "./oids.ts";

const uriName = 0x86;

export interface BasicConstraints {
  readonly isCa: boolean;
  readonly pathLength: number | null;
}

/** RFC 5280 §4.2.1.9; absent means not a CA. */
export function basicConstraintsOf(certificate: Certificate): BasicConstraints {
  const extension = certificate.extensions.get(oids.basicConstraints);
  if (extension === undefined) return { isCa: false, pathLength: null };
  const content = enterSequence(extension.value);
  const isCa = content.readOptional(tags.boolean);
  const pathLength = content.readOptional(tags.integer);
  content.end();
  return {
    isCa: isCa !== null && booleanOf(isCa.value),
    pathLength: pathLength === null ? null : Number.parseInt(unsignedHexOf(pathLength.value), 16),
  };
}

/** First byte of the KeyUsage bits (RFC 5280 §4.2.1.3), or null when the extension is absent. */
export function keyUsageOf(certificate: Certificate): { readonly critical: boolean; readonly bits: number } | null {
  const extension = certificate.extensions.get(oids.keyUsage);
  if (extension === undefined) return null;
  const reader = new DerReader(extension.value);
  const bits = reader.read(tags.bitString).value;
  reader.end();
  if (bits.length < 2 || bits.length > 3) throw malformed("its key usage has no bits");
  return { critical: extension.critical, bits: bits[1] ?? 0 };
}

/** Purposes of the certified key (RFC 5280 §4.2.1.12), or null when any will do. */
export function extKeyUsageOf(certificate: Certificate): readonly string[] | null {
  const extension = certificate.extensions.get(oids.extKeyUsage);
  if (extension === undefined) return null;
  const content = enterSequence(extension.value);
  const purposes: string[] = [];
  while (!content.atEnd) purposes.push(oidOf(content.read(tags.oid).value));
  return purposes;
}

export interface SubjectAltName {
  readonly critical: boolean;
  /** Text of each uniformResourceIdentifier, byte for byte. */
  readonly uris: readonly string[];
  /** Names of any other type. */
  readonly otherNames: number;
}

/** RFC 5280 §4.2.1.6, from the DER: Node's text form of it can be forged by a name that contains `, URI:`. */
export function subjectAltNameOf(certificate: Certificate): SubjectAltName {
  const extension = certificate.extensions.get(oids.subjectAltName);
  if (extension === undefined) return { critical: false, uris: [], otherNames: 0 };
  const content = enterSequence(extension.value);
  const uris: string[] = [];
  let otherNames = 0;
  for (let tag = content.peekTag(); tag !== null; tag = content.peekTag()) {
    const name = content.read(tag);
    if (tag === uriName) uris.push(name.value.toString("latin1"));
    else otherNames += 1;
  }
  return { critical: extension.critical, uris, otherNames };
}

/** RFC 5280 §4.2.1.2, or null. */
export function subjectKeyIdentifierOf(certificate: Certificate): Buffer | null {
  const extension = certificate.extensions.get(oids.subjectKeyIdentifier);
  return extension === undefined ? null : new DerReader(extension.value).read(tags.octetString).value;
}

function enterSequence(value: Buffer): DerReader {
  const reader = new DerReader(value);
  const content = reader.enter(tags.sequence);
  reader.end();
  return content;
}
