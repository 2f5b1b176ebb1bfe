import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pemOf, sealPrivateKey, serviceId } from "@sallyport/identity";
import { createTestAuthority } from "@sallyport/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBootstrap, readKeyEncryptionKey } from "./bootstrap.ts";

const authority = await createTestAuthority();
const keyEncryptionKey = randomBytes(32);
let dir = "";

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sallyport-bootstrap-"));
  const svid = await authority.issue(serviceId(authority.trustDomain, "policy", "1"));
  await writeFile(join(dir, "certificate.pem"), pemOf(svid.certificateChain));
  await writeFile(join(dir, "private-key.pem"), sealPrivateKey(svid.privateKey, keyEncryptionKey));
  await writeFile(join(dir, "roots.pem"), pemOf([authority.root.certificate]));
  await writeFile(join(dir, "good.key"), `${keyEncryptionKey.toString("base64")}\n`);
  await writeFile(join(dir, "short.key"), "c2hvcnQ=");
});

afterAll(() => rm(dir, { recursive: true, force: true }));

const { trustDomain } = authority;

test("a credential opens under its key and no other", async () => {
  const source = await loadBootstrap({
    dir,
    trustDomain,
    keyEncryptionKey: await readKeyEncryptionKey(join(dir, "good.key")),
  });
  expect(source.current().identity).toMatchObject({ kind: "service", name: "policy" });
  const wrong = loadBootstrap({ dir, trustDomain, keyEncryptionKey: randomBytes(32) });
  await expect(wrong).rejects.toMatchObject({ code: "BOOTSTRAP_INVALID" });
});

test("a key that is missing or short is refused, and not repeated in the message", async () => {
  await expect(readKeyEncryptionKey(join(dir, "none.key"))).rejects.toMatchObject({ code: "BOOTSTRAP_INVALID" });
  const short = await readKeyEncryptionKey(join(dir, "short.key")).catch((error: unknown) => String(error));
  expect(short).toContain("not 32 bytes");
  expect(short).not.toContain("c2hvcnQ");
});
