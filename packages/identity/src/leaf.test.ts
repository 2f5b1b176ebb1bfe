import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { agentId, createAuthority, forge, goodLeaf, leafParts, type Authority } from "./authority.test-support.ts";
import { adminId, checkLeaf, generateKeyPair, keyUsageBits, oids, spkiOf } from "./index.ts";
import { extensionTemplates as extension } from "./certificate-builder.ts";

let authority: Authority;

beforeAll(async () => {
  authority = await createAuthority("a.org");
});

const { names, keyUsage, purposes, constraints } = leafParts;

describe("a leaf", () => {
  test("that we issue follows the rules", async () => {
    const facts = checkLeaf(await goodLeaf(authority.intermediate));
    expect(facts.identity).toMatchObject({ kind: "workload", id: agentId });
    expect(facts.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
  });

  test("begins ten seconds ago and ends with its issuer at the latest", async () => {
    const now = new Date("2027-01-02T03:04:05.678Z");
    const { intermediate } = await createAuthority("a.org", now);
    const { notBefore, notAfter } = checkLeaf(await goodLeaf(intermediate, now));
    expect([notBefore, notAfter]).toEqual([new Date("2027-01-02T03:03:55Z"), new Date("2027-01-02T04:04:05Z")]);
    const late = new Date(now.getTime() + 50 * 86_400_000 - 60_000);
    expect(checkLeaf(await goodLeaf(intermediate, late)).notAfter).toEqual(new Date("2027-02-21T03:04:05Z"));
  });

  const refused: readonly (readonly [string, () => Buffer])[] = [
    [
      "two URI names",
      () =>
        forge(authority.intermediate, [
          extension.uris([agentId.uri, adminId("a.org", "x").uri], true),
          keyUsage,
          purposes,
          constraints,
        ]),
    ],
    ["no name", () => forge(authority.intermediate, [keyUsage, purposes, constraints])],
    [
      "an empty subject and a name that is not critical",
      () => forge(authority.intermediate, [extension.uris([agentId.uri], false), keyUsage, purposes, constraints]),
    ],
    [
      "a DNS name beside the SPIFFE ID",
      () => forge(authority.intermediate, [namesWithDns(), keyUsage, purposes, constraints]),
    ],
    ["CA: true", () => forge(authority.intermediate, [names, keyUsage, purposes, extension.basicConstraints(true)])],
    ["no key usage", () => forge(authority.intermediate, [names, purposes, constraints])],
    [
      "a key usage that is not critical",
      () => forge(authority.intermediate, [names, { ...keyUsage, critical: false }, purposes, constraints]),
    ],
    [
      "keyCertSign",
      () =>
        forge(authority.intermediate, [
          names,
          extension.keyUsage(keyUsageBits.digitalSignature | keyUsageBits.keyCertSign),
          purposes,
          constraints,
        ]),
    ],
    [
      "cRLSign",
      () =>
        forge(authority.intermediate, [
          names,
          extension.keyUsage(keyUsageBits.digitalSignature | keyUsageBits.cRLSign),
          purposes,
          constraints,
        ]),
    ],
    [
      "no digitalSignature",
      () => forge(authority.intermediate, [names, extension.keyUsage(0x20), purposes, constraints]),
    ],
    ["no purposes", () => forge(authority.intermediate, [names, keyUsage, constraints])],
    [
      "clientAuth only",
      () => forge(authority.intermediate, [names, keyUsage, extension.extKeyUsage([oids.clientAuth]), constraints]),
    ],
    [
      "an unknown critical extension",
      () =>
        forge(authority.intermediate, [
          names,
          keyUsage,
          purposes,
          constraints,
          { oid: "1.2.3.4", critical: true, der: Buffer.from("0500", "hex") },
        ]),
    ],
  ];
  test.each(refused)("with %s is refused", (_, leaf) => {
    expect(() => checkLeaf(leaf())).toThrow(expect.objectContaining({ code: "LEAF_INVALID" }));
  });

  test("with an extension twice is refused", () => {
    expect(() => checkLeaf(forge(authority.intermediate, [names, names, keyUsage, purposes, constraints]))).toThrow(
      expect.objectContaining({ code: "CERTIFICATE_MALFORMED" }),
    );
  });

  test("with a name that hides another one behind a comma is refused", () => {
    const uri = `${agentId.uri}, URI:${adminId("a.org", "x").uri}`;
    expect(() =>
      checkLeaf(forge(authority.intermediate, [extension.uris([uri], true), keyUsage, purposes, constraints])),
    ).toThrow(expect.objectContaining({ code: "SPIFFE_ID_INVALID" }));
  });

  test("with the ID of a trust domain is refused", () => {
    expect(() =>
      checkLeaf(
        forge(authority.intermediate, [extension.uris(["spiffe://a.org"], true), keyUsage, purposes, constraints]),
      ),
    ).toThrow(expect.objectContaining({ code: "IDENTITY_KIND_UNKNOWN" }));
  });

  test("with a key on another curve is refused", () => {
    const spki = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ type: "spki", format: "der" });
    expect(() => checkLeaf(forge(authority.intermediate, [names, keyUsage, purposes, constraints], { spki }))).toThrow(
      expect.objectContaining({ code: "PUBLIC_KEY_UNSUPPORTED" }),
    );
  });

  test("with a serial of zero is refused", () => {
    expect(() =>
      checkLeaf(forge(authority.intermediate, [names, keyUsage, purposes, constraints], { serial: Buffer.of(0) })),
    ).toThrow(expect.objectContaining({ code: "CERTIFICATE_MALFORMED" }));
  });

  test("may end after 2049", () => {
    const notAfter = new Date("2061-01-01T00:00:00Z");
    expect(
      checkLeaf(forge(authority.intermediate, [names, keyUsage, purposes, constraints], { notAfter })).notAfter,
    ).toEqual(notAfter);
  });

  test("with bytes after its end, or cut anywhere, is refused by a code and by nothing else", async () => {
    const leaf = await goodLeaf(authority.intermediate);
    expect(() => checkLeaf(Buffer.concat([leaf, Buffer.of(0)]))).toThrow(
      expect.objectContaining({ code: "CERTIFICATE_MALFORMED" }),
    );
    for (let length = 0; length < leaf.length; length += 1)
      expect(() => checkLeaf(leaf.subarray(0, length))).toThrow(
        expect.objectContaining({ code: "CERTIFICATE_MALFORMED" }),
      );
  });

  test("with one flipped byte is either refused by a code or says the same of its holder", async () => {
    const leaf = await goodLeaf(authority.intermediate);
    const spki = spkiOf(generateKeyPair().publicKey).length;
    for (let at = 0; at < leaf.length; at += 1) {
      const flipped = Buffer.from(leaf);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      try {
        expect(checkLeaf(flipped).spki).toHaveLength(spki);
      } catch (error) {
        expect(error).toMatchObject({ name: "IdentityError" });
      }
    }
  });
});

/** SubjectAltName { uri, dns "localhost" }. */
function namesWithDns(): { readonly oid: string; readonly critical: boolean; readonly der: Buffer } {
  const uri = Buffer.from(agentId.uri);
  const dns = Buffer.from("localhost");
  const content = Buffer.concat([Buffer.of(0x86, uri.length), uri, Buffer.of(0x82, dns.length), dns]);
  return { oid: oids.subjectAltName, critical: true, der: Buffer.concat([Buffer.of(0x30, content.length), content]) };
}
