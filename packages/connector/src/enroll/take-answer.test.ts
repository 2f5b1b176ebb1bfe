import { adminId, generateKeyPair, issueLeaf, spkiOf, workloadId, type SpiffeId } from "@sallyport/identity";
import type { EnrollResponse } from "@sallyport/proto/enrollment";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { takeAnswer } from "./take-answer.ts";

const { privateKey } = generateKeyPair();
let authority: TestAuthority;
let other: TestAuthority;

beforeAll(async () => {
  authority = await createTestAuthority();
  other = await createTestAuthority("elsewhere.example");
});

async function answer(id: SpiffeId, issuer = authority, bundle = issuer): Promise<EnrollResponse> {
  const spki = spkiOf(privateKey);
  const leaf = await issueLeaf({ id, spki, ttlSeconds: 3600, now: new Date(), issuer: issuer.intermediate });
  const { trustDomain, roots, sequence } = bundle.bundle;
  return {
    spiffeId: id.uri,
    certificateChain: [leaf, issuer.intermediate.certificate],
    bundle: { trustDomain, roots: [...roots], sequence },
    routers: [],
    generation: 1,
  };
}

test("a workload's certificate that leads to the roots beside it is taken", async () => {
  const { svid, bundle } = takeAnswer(
    await answer(workloadId("sallyport.local", "agent", "1")),
    privateKey,
    "sallyport.local",
  );
  expect(svid.identity.id.uri).toBe("spiffe://sallyport.local/workload/agent/1");
  expect(bundle.roots).toStrictEqual(authority.bundle.roots);
});

describe("an answer that makes no sense is not stored", () => {
  test("for another trust domain", async () => {
    const foreign = await answer(workloadId("elsewhere.example", "agent", "1"), other);
    expect(() => takeAnswer(foreign, privateKey, "sallyport.local")).toThrow("another trust domain");
  });

  test("for something that is no workload", async () => {
    const admin = await answer(adminId("sallyport.local", "root"));
    expect(() => takeAnswer(admin, privateKey, "sallyport.local")).toThrow("/admin/root");
  });

  test("with roots that its certificate does not lead to", async () => {
    const rogue = await createTestAuthority();
    const mixed = await answer(workloadId("sallyport.local", "agent", "1"), authority, rogue);
    expect(() => takeAnswer(mixed, privateKey, "sallyport.local")).toThrow("does not lead to its roots");
  });

  test("for another key", async () => {
    const good = await answer(workloadId("sallyport.local", "agent", "1"));
    expect(() => takeAnswer(good, generateKeyPair().privateKey, "sallyport.local")).toThrow();
  });
});
