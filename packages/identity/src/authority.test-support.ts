import { buildCertificate, extensionTemplates as extension, type ExtensionTemplate } from "./certificate-builder.ts";
import { readCertificate } from "./certificate.ts";
import { workloadId } from "./identity.ts";
import { createIntermediate, createRoot, issueLeaf, type Issuer } from "./issue.ts";
import { generateKeyPair, spkiOf } from "./keys.ts";
import { keyUsageBits, oids } from "./oids.ts";
import type { TrustBundle } from "./trust-bundle.ts";

export const agentId: ReturnType<typeof workloadId> = workloadId("a.org", "agent", "one");

export interface Authority {
  readonly root: Issuer;
  readonly intermediate: Issuer;
  readonly bundle: TrustBundle;
}

export async function createAuthority(trustDomain: string, now: Date = new Date()): Promise<Authority> {
  const root = await createRoot({ trustDomain, ttlDays: 100, now });
  const intermediate = await createIntermediate({ trustDomain, ttlDays: 50, now, issuer: root });
  return { root, intermediate, bundle: { trustDomain, roots: [root.certificate], sequence: 1 } };
}

export async function goodLeaf(issuer: Issuer, now: Date = new Date()): Promise<Buffer> {
  return await issueLeaf({ id: agentId, spki: spkiOf(generateKeyPair().publicKey), ttlSeconds: 3600, now, issuer });
}

/** Good parts of a leaf, by name, so that a test can leave one out or put another in its place. */
export const leafParts: Readonly<Record<"names" | "keyUsage" | "purposes" | "constraints", ExtensionTemplate>> = {
  names: extension.uris([agentId.uri], true),
  keyUsage: extension.keyUsage(keyUsageBits.digitalSignature),
  purposes: extension.extKeyUsage([oids.serverAuth, oids.clientAuth]),
  constraints: extension.basicConstraints(false),
};

/** A certificate of any content. */
export function forge(
  issuer: Issuer,
  extensions: readonly ExtensionTemplate[],
  options: {
    readonly subject?: string;
    readonly spki?: Uint8Array;
    readonly notBefore?: Date;
    readonly notAfter?: Date;
    readonly serial?: Uint8Array;
  } = {},
): Buffer {
  const { subject = null, spki = spkiOf(generateKeyPair().publicKey), serial } = options;
  const notBefore = options.notBefore ?? new Date(Date.now() - 10_000);
  const notAfter = options.notAfter ?? new Date(Date.now() + 3_600_000);
  const template = { spki, subject, notBefore, notAfter, extensions, ...(serial && { serial }) };
  return buildCertificate(template, readCertificate(issuer.certificate).subject, issuer.privateKey);
}
