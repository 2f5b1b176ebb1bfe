import { readCertificate, type Certificate } from "./certificate.ts";
import { sha256Hex } from "./digest.ts";
import { IdentityError } from "./errors.ts";
import { basicConstraintsOf, keyUsageOf, subjectAltNameOf } from "./extensions.ts";
import { checkLeafCertificate, type LeafFacts } from "./leaf.ts";
import { keyUsageBits, oids } from "./oids.ts";
import { isSignedBy } from "./signed-by.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import type { TrustBundle } from "./trust-bundle.ts";

export interface VerifiedChain extends LeafFacts {
  /** Lower-case hexadecimal SHA-256 of each issuing certificate's SPKI, the root's last. */
  readonly issuers: readonly string[];
}

/** Leaf and two intermediates; the root is not part of a chain. */
const maxChainCertificates = 3;

const understoodInIssuers: ReadonlySet<string> = new Set([oids.basicConstraints, oids.keyUsage, oids.subjectAltName]);

/**
 * Validates the chain beside a signed envelope or audit block at a given time. In TLS, where OpenSSL has validated a path already, it establishes
 * to which root.
 *
 * Deliberately narrow instead of RFC 5280 §6: the chain is given in order, each certificate is signed by the next and the last by a root of the
 * bundle of the leaf's own trust domain; names are compared byte for byte; ECDSA P-256 with SHA-256 only; any critical extension that is not
 * read here (name constraints, policies) is refused.
 * @throws {IdentityError}
 */
export function verifyChain(chain: readonly Uint8Array[], bundle: TrustBundle, at: Date): VerifiedChain {
  const certificates = chain.slice(0, maxChainCertificates).map(readCertificate);
  const [leaf, ...intermediates] = certificates;
  if (leaf === undefined || chain.length > maxChainCertificates) throw invalid(`it has ${chain.length} certificates`);
  const facts = checkLeafCertificate(leaf);
  const { trustDomain } = facts.identity.id;
  if (trustDomain !== bundle.trustDomain)
    throw new IdentityError("FOREIGN_TRUST_DOMAIN", `The signer belongs to the trust domain ${trustDomain}.`);
  const root = signingRoot(certificates.at(-1) ?? leaf, bundle);
  const issuers = [...intermediates, root];
  issuers.forEach((issuer, below) => checkIssuer(issuer, below, trustDomain));
  intermediates.forEach((issuer, index) => checkSignature(certificates[index], issuer));
  for (const certificate of [...certificates, root]) checkTime(certificate, at);
  return { ...facts, issuers: issuers.map((issuer) => sha256Hex(issuer.spki)) };
}

/** Whether one certificate names the other as its issuer and is signed by it. False, never an error, for what is no certificate of ours. */
export function isIssuedBy(subject: Uint8Array, issuer: Buffer): boolean {
  try {
    const [below, above] = [readCertificate(subject), readOnce(issuer)];
    return below.issuer.equals(above.subject) && isSignedBy(below, above);
  } catch {
    return false;
  }
}

/** The root of the bundle that signed the end of the chain, by name and by signature. */
function signingRoot(top: Certificate, bundle: TrustBundle): Certificate {
  for (const der of bundle.roots) {
    const root = readOnce(der);
    if (top.issuer.equals(root.subject) && isSignedBy(top, root)) return root;
  }
  throw new IdentityError("UNTRUSTED", `No root of ${bundle.trustDomain} signed this chain.`);
}

/** Bundles and own chains live long and are asked for every peer. Keyed by the buffer itself, which nobody changes. */
const readBefore = new WeakMap<Buffer, Certificate>();

function readOnce(der: Buffer): Certificate {
  const certificate = readBefore.get(der) ?? readCertificate(der);
  readBefore.set(der, certificate);
  return certificate;
}

/** @param below how many issuing certificates lie between this one and the leaf */
function checkIssuer(issuer: Certificate, below: number, trustDomain: string): void {
  const constraints = basicConstraintsOf(issuer);
  if (!constraints.isCa) throw invalidIssuer("it is not a CA");
  if (constraints.pathLength !== null && constraints.pathLength < below)
    throw invalidIssuer("its path length is exceeded");
  const usage = keyUsageOf(issuer);
  if (usage === null || (usage.bits & keyUsageBits.keyCertSign) === 0)
    throw invalidIssuer("its key may not sign certificates");
  for (const [oid, extension] of issuer.extensions) {
    if (extension.critical && !understoodInIssuers.has(oid))
      throw invalidIssuer(`it has the unknown critical extension ${oid}`);
  }
  for (const uri of subjectAltNameOf(issuer).uris) checkIssuerId(uri, trustDomain);
}

function checkIssuerId(uri: string, trustDomain: string): void {
  const id = parseSpiffeId(uri);
  if (id.segments.length > 0) throw invalidIssuer("its SPIFFE ID has a path");
  if (id.trustDomain !== trustDomain) throw invalidIssuer("it belongs to another trust domain");
}

function checkSignature(subject: Certificate | undefined, issuer: Certificate): void {
  if (subject === undefined || !subject.issuer.equals(issuer.subject))
    throw invalid("its certificates are not in order");
  if (!isSignedBy(subject, issuer)) throw invalid("a signature in it is wrong");
}

function checkTime(certificate: Certificate, at: Date): void {
  if (at < certificate.notBefore)
    throw new IdentityError(
      "NOT_YET_VALID",
      `A certificate of the chain begins at ${certificate.notBefore.toISOString()}.`,
    );
  if (at > certificate.notAfter)
    throw new IdentityError("EXPIRED", `A certificate of the chain ended at ${certificate.notAfter.toISOString()}.`);
}

function invalid(why: string): IdentityError {
  return new IdentityError("CHAIN_INVALID", `The certificate chain is refused: ${why}.`);
}

function invalidIssuer(why: string): IdentityError {
  return new IdentityError("ISSUER_INVALID", `A certificate above the leaf is refused: ${why}.`);
}
