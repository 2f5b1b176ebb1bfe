/** What we issue, held against another implementation's strictest check. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority, forge, goodLeaf, leafParts, type Authority } from "./authority.test-support.ts";
import { createCsr, generateKeyPair, keyUsageBits, pemOf } from "./index.ts";
import { extensionTemplates as extension } from "./certificate-builder.ts";

const run = promisify(execFile);
let dir: string;
let authority: Authority;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sallyport-openssl-"));
  authority = await createAuthority("a.org");
  await writeFile(join(dir, "root.pem"), pemOf([authority.root.certificate]));
  await writeFile(join(dir, "intermediate.pem"), pemOf([authority.intermediate.certificate]));
});

afterAll(async () => {
  await rm(dir, { recursive: true });
});

async function verify(leaf: Buffer, purpose: string): Promise<string> {
  const file = join(dir, "leaf.pem");
  await writeFile(file, pemOf([leaf]));
  const command = [
    "verify",
    "-x509_strict",
    "-purpose",
    purpose,
    "-CAfile",
    join(dir, "root.pem"),
    "-untrusted",
    join(dir, "intermediate.pem"),
    file,
  ];
  return await run("openssl", command).then(
    () => "OK",
    (error: { readonly stderr: string }) => /error (\d+)/.exec(error.stderr)?.[0] ?? error.stderr,
  );
}

describe("openssl verify -x509_strict", () => {
  test.each(["sslserver", "sslclient"])("accepts a leaf of ours as %s", async (purpose) => {
    expect(await verify(await goodLeaf(authority.intermediate), purpose)).toBe("OK");
  });

  test("is strict indeed: it refuses an empty subject whose name is not critical, and a leaf that may sign certificates", async () => {
    const { names, keyUsage, purposes, constraints } = leafParts;
    expect(
      await verify(
        forge(authority.intermediate, [{ ...names, critical: false }, keyUsage, purposes, constraints]),
        "sslserver",
      ),
    ).toMatch(/^error/);
    const signing = extension.keyUsage(keyUsageBits.digitalSignature | keyUsageBits.keyCertSign);
    expect(await verify(forge(authority.intermediate, [names, signing, purposes, constraints]), "sslserver")).toMatch(
      /^error/,
    );
  });

  test("reads the SPIFFE ID, and nothing else, from the leaf", async () => {
    await verify(await goodLeaf(authority.intermediate), "sslserver");
    const { stdout } = await run("openssl", [
      "x509",
      "-in",
      join(dir, "leaf.pem"),
      "-noout",
      "-subject",
      "-ext",
      "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints",
    ]);
    expect(stdout.split("\n").map((line) => line.trim())).toEqual([
      "subject=",
      "X509v3 Subject Alternative Name: critical",
      "URI:spiffe://a.org/workload/agent/one",
      "X509v3 Key Usage: critical",
      "Digital Signature",
      "X509v3 Extended Key Usage:",
      "TLS Web Server Authentication, TLS Web Client Authentication",
      "X509v3 Basic Constraints: critical",
      "CA:FALSE",
      "",
    ]);
  });
});

test("openssl req -verify accepts a request of ours", async () => {
  await writeFile(join(dir, "csr.der"), await createCsr(generateKeyPair().privateKey));
  const { stderr } = await run("openssl", ["req", "-inform", "der", "-in", join(dir, "csr.der"), "-verify", "-noout"]);
  expect(stderr).toContain("verify OK");
});
