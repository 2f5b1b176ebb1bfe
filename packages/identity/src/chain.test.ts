import { beforeAll, describe, expect, test } from "vitest";
import { createAuthority, forge, goodLeaf, leafParts, type Authority } from "./authority.test-support.ts";
import {
  createIntermediate,
  createRoot,
  generateKeyPair,
  isIssuedBy,
  issueLeaf,
  keyUsageBits,
  readCertificate,
  routerId,
  sha256Hex,
  spkiOf,
  verifyChain,
  type Issuer,
} from "./index.ts";
import { extensionTemplates as extension } from "./certificate-builder.ts";

let own: Authority;
let rogue: Authority;
const now = new Date();

beforeAll(async () => {
  own = await createAuthority("a.org");
  rogue = await createAuthority("a.org");
});

function codeOf(chain: readonly Buffer[], { bundle = own.bundle, at = now } = {}): string {
  try {
    verifyChain(chain, bundle, at);
    return "valid";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

test("a certificate is issued by another only by its name and by its signature", async () => {
  const leaf = await goodLeaf(own.intermediate);
  expect(isIssuedBy(leaf, own.intermediate.certificate)).toBe(true);
  expect(isIssuedBy(leaf, rogue.intermediate.certificate)).toBe(false);
  expect(isIssuedBy(leaf, own.root.certificate)).toBe(false);
  expect(isIssuedBy(Buffer.from("no certificate"), own.intermediate.certificate)).toBe(false);
});

describe("a chain", () => {
  test("of leaf and intermediate leads to the root and names its issuers", async () => {
    const verified = verifyChain([await goodLeaf(own.intermediate), own.intermediate.certificate], own.bundle, now);
    expect(verified.identity).toMatchObject({ kind: "workload", name: "agent" });
    expect(verified.issuers).toEqual(
      [own.intermediate, own.root].map(({ certificate }) => sha256Hex(readCertificate(certificate).spki)),
    );
  });

  test("of a leaf alone leads to a root that signs leaves", async () => {
    const root = await createRoot({ trustDomain: "a.org", ttlDays: 1, now, pathLength: 0 });
    expect(
      codeOf([await goodLeaf(root)], { bundle: { ...own.bundle, roots: [own.root.certificate, root.certificate] } }),
    ).toBe("valid");
  });

  test("is judged anew each time: a signature that was found good says nothing of time or trust", async () => {
    const chain = [await goodLeaf(own.intermediate), own.intermediate.certificate];
    expect(codeOf(chain)).toBe("valid");
    expect(codeOf(chain, { at: new Date(now.getTime() + 40 * 365 * 86_400_000) })).toBe("EXPIRED");
    expect(codeOf(chain, { bundle: rogue.bundle })).toBe("UNTRUSTED");
  });

  test("of which one byte changed after it was found good is refused", async () => {
    const leaf = await goodLeaf(own.intermediate);
    expect(codeOf([leaf, own.intermediate.certificate])).toBe("valid");
    const tampered = Buffer.from(leaf);
    const serialAt = tampered.indexOf(Buffer.from(readCertificate(leaf).serial, "hex"));
    tampered[serialAt + 3] = (tampered[serialAt + 3] ?? 0) ^ 1;
    expect(codeOf([tampered, own.intermediate.certificate])).toBe("CHAIN_INVALID");
  });

  test("is refused under a root of the same name with another key", async () => {
    expect(codeOf([await goodLeaf(rogue.intermediate), rogue.intermediate.certificate])).toBe("UNTRUSTED");
  });

  test("is refused when its leaf was signed by another key of the same name", async () => {
    expect(codeOf([await goodLeaf(rogue.intermediate), own.intermediate.certificate])).toBe("CHAIN_INVALID");
  });

  test("is refused under an empty bundle", async () => {
    expect(
      codeOf([await goodLeaf(own.intermediate), own.intermediate.certificate], {
        bundle: { ...own.bundle, roots: [] },
      }),
    ).toBe("UNTRUSTED");
  });

  test("is refused for another trust domain", async () => {
    const foreign = await createAuthority("b.org");
    const leaf = await issueLeaf({
      id: routerId("b.org", "r1"),
      spki: spkiOf(generateKeyPair().publicKey),
      ttlSeconds: 60,
      now,
      issuer: foreign.intermediate,
    });
    const chain = [leaf, foreign.intermediate.certificate];
    expect(codeOf(chain)).toBe("FOREIGN_TRUST_DOMAIN");
    expect(codeOf(chain, { bundle: { ...foreign.bundle, trustDomain: "a.org" } })).toBe("FOREIGN_TRUST_DOMAIN");
    expect(codeOf(chain, { bundle: foreign.bundle })).toBe("valid");
  });

  test("is refused when a CA of another trust domain issued it", async () => {
    const foreign = await createAuthority("b.org");
    const leaf = forge(foreign.intermediate, Object.values(leafParts));
    expect(
      codeOf([leaf, foreign.intermediate.certificate], {
        bundle: { ...own.bundle, roots: [foreign.root.certificate] },
      }),
    ).toBe("ISSUER_INVALID");
  });

  test("is refused before and after its time", async () => {
    const chain = [await goodLeaf(own.intermediate), own.intermediate.certificate];
    expect(codeOf(chain, { at: new Date(now.getTime() - 60_000) })).toBe("NOT_YET_VALID");
    expect(codeOf(chain, { at: new Date(now.getTime() + 2 * 3_600_000) })).toBe("EXPIRED");
  });

  test("is refused below a leaf: a workload cannot issue", async () => {
    const { privateKey } = generateKeyPair();
    const leaf = await issueLeaf({
      id: routerId("a.org", "r1"),
      spki: spkiOf(privateKey),
      ttlSeconds: 600,
      now,
      issuer: own.intermediate,
    });
    const child = forge({ certificate: leaf, privateKey }, Object.values(leafParts));
    expect(codeOf([child, leaf, own.intermediate.certificate])).toBe("ISSUER_INVALID");
  });

  test("is refused when an intermediate exceeds its path length", async () => {
    const below: Issuer = await createIntermediate({ trustDomain: "a.org", ttlDays: 1, now, issuer: own.intermediate });
    expect(codeOf([await goodLeaf(below), below.certificate, own.intermediate.certificate])).toBe("ISSUER_INVALID");
  });

  test("is refused when an issuer is no CA, may not sign certificates, or has a critical extension that nobody here reads", async () => {
    const issuer = (extensions: Parameters<typeof forge>[1]): Issuer => {
      const { privateKey } = generateKeyPair();
      return { certificate: forge(own.root, extensions, { subject: "odd", spki: spkiOf(privateKey) }), privateKey };
    };
    const dumb = issuer([extension.basicConstraints(true), extension.keyUsage(keyUsageBits.digitalSignature)]);
    const noCa = issuer([extension.basicConstraints(false), extension.keyUsage(keyUsageBits.keyCertSign)]);
    const constrained = issuer([
      extension.basicConstraints(true),
      extension.keyUsage(keyUsageBits.keyCertSign),
      { oid: "2.5.29.30", critical: true, der: Buffer.from("3000", "hex") },
    ]);
    const plain = issuer([extension.basicConstraints(true), extension.keyUsage(keyUsageBits.keyCertSign)]);
    const leafOf = (from: Issuer): Buffer => forge(from, Object.values(leafParts));
    expect(codeOf([leafOf(dumb), dumb.certificate])).toBe("ISSUER_INVALID");
    expect(codeOf([leafOf(noCa), noCa.certificate])).toBe("ISSUER_INVALID");
    expect(codeOf([leafOf(constrained), constrained.certificate])).toBe("ISSUER_INVALID");
    expect(codeOf([leafOf(plain), plain.certificate])).toBe("valid");
  });

  test("is refused with the root in it, too long, empty, or out of order", async () => {
    const leaf = await goodLeaf(own.intermediate);
    const { certificate } = own.intermediate;
    expect(codeOf([])).toBe("CHAIN_INVALID");
    expect(codeOf([leaf, certificate, certificate, certificate])).toBe("CHAIN_INVALID");
    expect(codeOf([leaf, certificate, certificate])).not.toBe("valid");
    expect(codeOf([leaf, certificate, own.root.certificate])).not.toBe("valid");
    expect(codeOf([certificate, leaf])).toBe("LEAF_INVALID");
  });
});
