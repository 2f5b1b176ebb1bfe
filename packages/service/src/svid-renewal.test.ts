import { issueLeaf, parseSpiffeId, serviceId, verifyCsr } from "@sallyport/identity";
import type { IssueServiceSvidRequest, IssueSvidResponse } from "@sallyport/proto/ca";
import { createTestAuthority } from "@sallyport/testing";
import { expect, test } from "vitest";
import { createLogger } from "./logger.ts";
import type { SvidIssuer } from "./svid-issuer.ts";
import { SvidRenewal } from "./svid-renewal.ts";

const authority = await createTestAuthority();
const id = serviceId(authority.trustDomain, "policy", "1");
const log = createLogger({ name: "policy", instance: "1", level: "silent" });

/** A CA whose certificates live for twelve seconds, ten of which are over when they are issued, so that half a life is always over,, and which fails as often as `failures` says. */
function issuer(
  options: { readonly failures?: number; readonly uri?: string; readonly trustDomain?: string } = {},
): SvidIssuer {
  let failures = options.failures ?? 0;
  return async ({ csr }: IssueServiceSvidRequest): Promise<IssueSvidResponse> => {
    if (failures > 0) {
      failures -= 1;
      throw new Error("not now");
    }
    const { spki } = await verifyCsr(csr);
    const leafId = parseSpiffeId(options.uri ?? id.uri);
    const leaf = await issueLeaf({ id: leafId, spki, ttlSeconds: 2, now: new Date(), issuer: authority.intermediate });
    const { trustDomain = authority.trustDomain } = options;
    const bundle = { trustDomain, roots: [authority.root.certificate], sequence: 1 };
    return { certificateChain: [leaf, authority.intermediate.certificate], bundle, serial: "" };
  };
}

const open = (issue: SvidIssuer, signal: AbortSignal = AbortSignal.timeout(5_000)): Promise<SvidRenewal> =>
  SvidRenewal.open({ issue, bus: false, uri: id.uri, log, signal });

test("an SVID is renewed before it ends, with a fresh key", async () => {
  await using renewal = await open(issuer());
  const before = renewal.source.current();
  await new Promise<void>((resolve) => renewal.source.onRotate(resolve));
  const after = renewal.source.current();
  expect(after.serial).not.toBe(before.serial);
  expect(after.privateKey.equals(before.privateKey)).toBe(false);
  expect(after.notAfter.getTime()).toBeGreaterThanOrEqual(before.notAfter.getTime());
});

test("a CA that is away is waited for, at the start and at a renewal", async () => {
  await using renewal = await open(issuer({ failures: 3 }));
  await new Promise<void>((resolve) => renewal.source.onRotate(resolve));
  expect(renewal.source.current().identity.id.uri).toBe(id.uri);
});

test("waiting for the CA ends with the signal", async () => {
  await expect(open(issuer({ failures: 1_000 }), AbortSignal.timeout(100))).rejects.toThrow();
});

test("an answer for another identity or of another trust domain is not taken", async () => {
  const other = serviceId(authority.trustDomain, "ca", "1").uri;
  await expect(open(issuer({ uri: other }), AbortSignal.timeout(300))).rejects.toThrow();
  await expect(open(issuer({ trustDomain: "other.example" }), AbortSignal.timeout(300))).rejects.toThrow();
});

test("a CA that issues for moments only is not asked in a tight loop", async () => {
  let asked = 0;
  const short = issuer();
  await using _renewal = await open((request, options) => {
    asked += 1;
    return short(request, options);
  });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(asked).toBe(2);
});
