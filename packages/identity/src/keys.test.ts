import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createAuthority, goodLeaf } from "./authority.test-support.ts";
import {
  createCsr,
  createSvid,
  derOf,
  generateKeyPair,
  openPrivateKey,
  pemOf,
  publicKeyOf,
  RotatingSvid,
  sealPrivateKey,
  sign,
  spkiOf,
  thumbprint,
  verifyCsr,
  verifySignature,
  issueLeaf,
  routerId,
} from "./index.ts";

describe("a key", () => {
  test("has the RFC 7638 thumbprint", () => {
    // RFC 7515 appendix A.3 publishes the key; the thumbprint was computed from it by another implementation.
    const jwk = {
      kty: "EC",
      crv: "P-256",
      x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
      y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    };
    const spki = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "der" });
    expect(thumbprint(spki)).toBe("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
  });

  test("signs in 64 bytes, and only what it signed verifies", () => {
    const { privateKey } = generateKeyPair();
    const [spki, bytes] = [spkiOf(privateKey), Buffer.from("payload")];
    const signature = sign(privateKey, bytes);
    expect(signature).toHaveLength(64);
    expect(verifySignature(spki, bytes, signature)).toBe(true);
    expect(verifySignature(spki, Buffer.from("Payload"), signature)).toBe(false);
    expect(verifySignature(spkiOf(generateKeyPair().publicKey), bytes, signature)).toBe(false);
    for (const length of [0, 63, 65, 72]) expect(verifySignature(spki, bytes, Buffer.alloc(length))).toBe(false);
  });

  test("is P-256 in one encoding only", () => {
    const refused = (spki: Uint8Array): void =>
      expect(() => publicKeyOf(spki)).toThrow(expect.objectContaining({ code: "PUBLIC_KEY_UNSUPPORTED" }));
    const spki = spkiOf(generateKeyPair().publicKey);
    refused(Buffer.concat([spki, Buffer.of(0)]));
    refused(spki.subarray(0, -1));
    refused(Buffer.concat([spki.subarray(0, -64), Buffer.alloc(64, 1)]));
    const compressed = Buffer.concat([
      Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex"),
      Buffer.of(2 + ((spki.at(-1) ?? 0) & 1)),
      spki.subarray(-64, -32),
    ]);
    expect(createPublicKey({ key: compressed, format: "der", type: "spki" }).asymmetricKeyType).toBe("ec");
    refused(compressed);
    for (const other of [generateKeyPairSync("ed25519"), generateKeyPairSync("rsa", { modulusLength: 2048 })])
      refused(spkiOf(other.publicKey));
  });
});

describe("a sealed key", () => {
  const { privateKey } = generateKeyPair();
  const kek = randomBytes(32);

  test("opens under its key only, and says nothing of either", () => {
    const pem = sealPrivateKey(privateKey, kek);
    expect(openPrivateKey(pem, kek).equals(privateKey)).toBe(true);
    expect(() => openPrivateKey(pem, randomBytes(32))).toThrow(expect.objectContaining({ code: "KEY_UNREADABLE" }));
    expect(() => openPrivateKey(pem.replaceAll("A", "B"), kek)).toThrow(
      expect.objectContaining({ code: "KEY_UNREADABLE" }),
    );
  });

  test("is not opened when it lies open", () => {
    const open = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect(() => openPrivateKey(open, kek)).toThrow(expect.objectContaining({ code: "KEY_UNREADABLE" }));
  });

  test("needs 32 bytes to be sealed under", () => {
    expect(() => sealPrivateKey(privateKey, randomBytes(16))).toThrow(
      expect.objectContaining({ code: "KEY_UNREADABLE" }),
    );
  });
});

describe("a certificate request", () => {
  test("proves possession of its key", async () => {
    const { privateKey } = generateKeyPair();
    expect(await verifyCsr(await createCsr(privateKey))).toEqual({ spki: spkiOf(privateKey) });
  });

  test("with another key's signature, changed or oversized, is refused", async () => {
    const csr = await createCsr(generateKeyPair().privateKey);
    const other = spkiOf(generateKeyPair().privateKey);
    const refused = async (der: Uint8Array): Promise<void> =>
      expect(verifyCsr(der)).rejects.toMatchObject({ name: "IdentityError" });
    const swapped = Buffer.from(csr);
    other.copy(swapped, swapped.indexOf(other.subarray(0, 27)));
    await expect(verifyCsr(swapped)).rejects.toMatchObject({ code: "CSR_INVALID" });
    await expect(verifyCsr(Buffer.concat([csr, Buffer.alloc(4096)]))).rejects.toMatchObject({ code: "CSR_INVALID" });
    await refused(Buffer.alloc(0));
    for (let length = 0; length < csr.length; length += 7) await refused(csr.subarray(0, length));
  });

  test("for a key that is not P-256 is refused", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    await expect(createCsr(privateKey).then(verifyCsr)).rejects.toMatchObject({ code: "PUBLIC_KEY_UNSUPPORTED" });
  });
});

describe("an SVID", () => {
  test("needs the key that its leaf names", async () => {
    const { intermediate } = await createAuthority("a.org");
    const leaf = await goodLeaf(intermediate);
    expect(() => createSvid([leaf, intermediate.certificate], generateKeyPair().privateKey)).toThrow(
      expect.objectContaining({ code: "KEY_MISMATCH" }),
    );
    expect(() => createSvid([], generateKeyPair().privateKey)).toThrow(
      expect.objectContaining({ code: "CHAIN_INVALID" }),
    );
  });

  test("rotates to the same identity only, and tells its listeners", async () => {
    const { intermediate, bundle } = await createAuthority("a.org");
    const svidOf = async (name: string): Promise<ReturnType<typeof createSvid>> => {
      const { privateKey } = generateKeyPair();
      return createSvid(
        [
          await issueLeaf({
            id: routerId("a.org", name),
            spki: spkiOf(privateKey),
            ttlSeconds: 60,
            now: new Date(),
            issuer: intermediate,
          }),
        ],
        privateKey,
      );
    };
    const source = new RotatingSvid(await svidOf("r1"), bundle);
    const seen: string[] = [];
    const stop = source.onRotate(() => seen.push(source.current().serial));
    const next = await svidOf("r1");
    source.rotate(next, bundle);
    const other = await svidOf("r2");
    expect(() => source.rotate(other, bundle)).toThrow(expect.objectContaining({ code: "IDENTITY_CHANGED" }));
    stop();
    source.rotate(await svidOf("r1"), bundle);
    expect(seen).toEqual([next.serial]);
  });
});

describe("PEM", () => {
  test("gives back the certificates that went in, and refuses anything beside them", async () => {
    const { root, intermediate } = await createAuthority("a.org");
    const chain = [intermediate.certificate, root.certificate];
    expect(derOf(pemOf(chain))).toEqual(chain);
    for (const text of ["", "hello", `${pemOf(chain)}x`, pemOf(chain).replace("CERTIFICATE", "KEY")]) {
      expect(() => derOf(text)).toThrow(expect.objectContaining({ code: "PEM_INVALID" }));
    }
  });
});
