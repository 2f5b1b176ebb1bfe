import { readCertificate, type Certificate } from "./certificate.ts";
import { IdentityError } from "./errors.ts";
import { basicConstraintsOf, extKeyUsageOf, keyUsageOf, subjectAltNameOf } from "./extensions.ts";
import { identityOf, type Identity } from "./identity.ts";
import { publicKeyOf } from "./keys.ts";
import { keyUsageBits, oids } from "./oids.ts";
import { parseSpiffeId } from "./spiffe-id.ts";

/** What a leaf says about its holder, once it follows the rules. */
export interface LeafFacts {
  readonly identity: Identity;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER SubjectPublicKeyInfo of the holder's key. */
  readonly spki: Buffer;
}

const understood: ReadonlySet<string> = new Set([
  oids.basicConstraints,
  oids.keyUsage,
  oids.extKeyUsage,
  oids.subjectAltName,
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
]);
const emptyName = Buffer.from("3000", "hex");

/**
 * The rules of X509-SVID §§2 to 5 for a leaf, and three of our own: P-256 only, both TLS purposes named, no name beside the SPIFFE ID
 * (NATS maps any name it finds). Looks neither at the time nor at who signed.
 * @throws {IdentityError} CERTIFICATE_MALFORMED, LEAF_INVALID, SPIFFE_ID_INVALID, IDENTITY_KIND_UNKNOWN, PUBLIC_KEY_UNSUPPORTED
 */
export function checkLeaf(der: Uint8Array): LeafFacts {
  return checkLeafCertificate(readCertificate(der));
}

/** `checkLeaf` for a certificate that was read already. */
export function checkLeafCertificate(leaf: Certificate): LeafFacts {
  checkConstraints(leaf);
  checkUsage(leaf);
  for (const [oid, extension] of leaf.extensions) {
    if (extension.critical && !understood.has(oid)) throw invalid(`it has the unknown critical extension ${oid}`);
  }
  publicKeyOf(leaf.spki);
  const identity = identityOf(parseSpiffeId(soleUri(leaf)));
  return { identity, serial: leaf.serial, notBefore: leaf.notBefore, notAfter: leaf.notAfter, spki: leaf.spki };
}

function checkConstraints(leaf: Certificate): void {
  const constraints = basicConstraintsOf(leaf);
  if (constraints.isCa) throw invalid("it is a signing certificate");
  if (constraints.pathLength !== null) throw invalid("it has a path length");
}

function checkUsage(leaf: Certificate): void {
  const usage = keyUsageOf(leaf);
  if (usage === null || !usage.critical) throw invalid("its key usage is absent or not critical");
  if ((usage.bits & keyUsageBits.digitalSignature) === 0) throw invalid("its key may not sign");
  if ((usage.bits & (keyUsageBits.keyCertSign | keyUsageBits.cRLSign)) !== 0)
    throw invalid("its key may sign certificates or CRLs");
  const purposes = extKeyUsageOf(leaf);
  if (purposes === null || !purposes.includes(oids.serverAuth) || !purposes.includes(oids.clientAuth)) {
    throw invalid("its purposes are not both serverAuth and clientAuth");
  }
}

function soleUri(leaf: Certificate): string {
  const names = subjectAltNameOf(leaf);
  const [uri, ...others] = names.uris;
  if (uri === undefined || others.length > 0) throw invalid(`it has ${names.uris.length} URI names instead of one`);
  if (names.otherNames > 0) throw invalid("it has further names beside its SPIFFE ID");
  if (leaf.subject.equals(emptyName) && !names.critical)
    throw invalid("its subject is empty and its SPIFFE ID is not critical");
  return uri;
}

function invalid(why: string): IdentityError {
  return new IdentityError("LEAF_INVALID", `The certificate is not a leaf SVID: ${why}.`);
}
