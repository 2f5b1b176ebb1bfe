import type { KeyObject } from "node:crypto";
import type { CertificateTemplate, ExtensionBuilder } from "./certificate-builder.ts";
import { readCertificate } from "./certificate.ts";
import { IdentityError } from "./errors.ts";
import { subjectAltNameOf, subjectKeyIdentifierOf } from "./extensions.ts";
import { trustDomainId } from "./identity.ts";
import { generateKeyPair, publicKeyOf, spkiOf } from "./keys.ts";
import { keyUsageBits, oids } from "./oids.ts";
import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";

/** A signing certificate and its key. */
export interface Issuer {
  /** DER. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
}

/** How far a certificate begins in the past, for clocks that are behind. */
const backdateMs = 10_000;
const dayMs = 86_400_000;
// The builder is imported where it is used: pkijs costs more time to load than the rest of this package, and most processes never issue.

/**
 * Issues a leaf SVID: empty subject, the SPIFFE ID as the one critical name, digitalSignature, both TLS purposes, no CA.
 * It ends with its issuer at the latest.
 * @throws {IdentityError} PUBLIC_KEY_UNSUPPORTED, TTL_OUT_OF_RANGE, FOREIGN_TRUST_DOMAIN, EXPIRED, LEAF_INVALID
 */
export async function issueLeaf(input: {
  readonly id: SpiffeId;
  readonly spki: Uint8Array;
  readonly ttlSeconds: number;
  readonly now: Date;
  readonly issuer: Issuer;
}): Promise<Buffer> {
  const { id, spki, ttlSeconds, now, issuer } = input;
  if (!Number.isFinite(ttlSeconds) || ttlSeconds <= 0)
    throw new IdentityError("TTL_OUT_OF_RANGE", "A certificate must live for more than zero seconds.");
  if (id.segments.length === 0) throw new IdentityError("LEAF_INVALID", "The SPIFFE ID of a leaf has a path.");
  publicKeyOf(spki);
  const signer = readCertificate(issuer.certificate);
  for (const uri of subjectAltNameOf(signer).uris) checkSameDomain(id, parseSpiffeId(uri));
  if (now >= signer.notAfter)
    throw new IdentityError("EXPIRED", `The issuing certificate ended at ${signer.notAfter.toISOString()}.`);
  const notAfter = new Date(Math.min(wholeSeconds(now.getTime() + ttlSeconds * 1000), signer.notAfter.getTime()));
  const { buildCertificate, extensionTemplates: extension, keyIdentifierOf } = await import("./certificate-builder.ts");
  return buildCertificate(
    {
      spki,
      subject: null,
      notBefore: new Date(wholeSeconds(now.getTime() - backdateMs)),
      notAfter,
      extensions: [
        extension.uris([id.uri], true),
        extension.keyUsage(keyUsageBits.digitalSignature),
        extension.extKeyUsage([oids.serverAuth, oids.clientAuth]),
        extension.basicConstraints(false),
        extension.subjectKeyIdentifier(spki),
        extension.authorityKeyIdentifier(subjectKeyIdentifierOf(signer) ?? keyIdentifierOf(signer.spki)),
      ],
    },
    signer.subject,
    issuer.privateKey,
  );
}

function checkSameDomain(id: SpiffeId, issuer: SpiffeId): void {
  if (id.trustDomain === issuer.trustDomain) return;
  throw new IdentityError(
    "FOREIGN_TRUST_DOMAIN",
    `The issuer of ${issuer.trustDomain} cannot issue for ${id.trustDomain}.`,
  );
}

/** A self-signed root with a fresh key. `pathLength` 1 allows one tier of intermediates, 0 leaves only. */
export async function createRoot(input: {
  readonly trustDomain: string;
  readonly commonName?: string;
  readonly ttlDays: number;
  readonly now: Date;
  readonly pathLength?: number;
}): Promise<Issuer> {
  const { buildCertificate, extensionTemplates } = await import("./certificate-builder.ts");
  const { privateKey } = generateKeyPair();
  const subject = input.commonName ?? `${input.trustDomain} root`;
  const template = signingTemplate(extensionTemplates, {
    ...input,
    subject,
    spki: spkiOf(privateKey),
    pathLength: input.pathLength ?? 1,
  });
  return { certificate: buildCertificate(template, subject, privateKey), privateKey };
}

/** A signing intermediate with a fresh key, for leaves only. It ends with its root at the latest. */
export async function createIntermediate(input: {
  readonly trustDomain: string;
  readonly commonName?: string;
  readonly ttlDays: number;
  readonly now: Date;
  readonly issuer: Issuer;
}): Promise<Issuer> {
  const { buildCertificate, extensionTemplates: extension, keyIdentifierOf } = await import("./certificate-builder.ts");
  const { privateKey } = generateKeyPair();
  const root = readCertificate(input.issuer.certificate);
  const subject = input.commonName ?? `${input.trustDomain} intermediate`;
  const template = signingTemplate(extension, { ...input, subject, spki: spkiOf(privateKey), pathLength: 0 });
  const notAfter = new Date(Math.min(template.notAfter.getTime(), root.notAfter.getTime()));
  const authority = extension.authorityKeyIdentifier(subjectKeyIdentifierOf(root) ?? keyIdentifierOf(root.spki));
  const certificate = buildCertificate(
    { ...template, notAfter, extensions: [...template.extensions, authority] },
    root.subject,
    input.issuer.privateKey,
  );
  return { certificate, privateKey };
}

function signingTemplate(
  extension: ExtensionBuilder,
  input: {
    readonly trustDomain: string;
    readonly subject: string;
    readonly spki: Buffer;
    readonly ttlDays: number;
    readonly now: Date;
    readonly pathLength: number;
  },
): CertificateTemplate {
  return {
    spki: input.spki,
    subject: input.subject,
    notBefore: new Date(wholeSeconds(input.now.getTime() - backdateMs)),
    notAfter: new Date(wholeSeconds(input.now.getTime() + input.ttlDays * dayMs)),
    extensions: [
      extension.uris([trustDomainId(input.trustDomain).uri], false),
      extension.keyUsage(keyUsageBits.keyCertSign | keyUsageBits.cRLSign),
      extension.basicConstraints(true, input.pathLength),
      extension.subjectKeyIdentifier(input.spki),
    ],
  };
}

/** X.509 times have no fractions. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
