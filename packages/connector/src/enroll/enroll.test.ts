import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootFingerprint, verifyCsr, workloadId, type SpiffeId } from "@sallyport/identity";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { baseFolders, type BaseFolders } from "../profile/profile-paths.ts";
import { loadProfile } from "../profile/profile-store.ts";
import { enroll } from "./enroll.ts";
import { enrollmentService, type EnrollmentService } from "./enrollment-service.test-support.ts";

let root: string;
let folders: BaseFolders;
let authority: TestAuthority;
let service: EnrollmentService;
let port: Server;
let address: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "enroll-test-"));
  folders = baseFolders({}, root);
  authority = await createTestAuthority();
  port = createServer((socket) => void service.serve(socket, "none").catch(() => socket.destroy())).listen(
    0,
    "127.0.0.1",
  );
  await once(port, "listening");
  address = `127.0.0.1:${(port.address() as AddressInfo).port}`;
  service = await enrollmentService({ authority, subject: agentId(), routers: [address] });
});

afterEach(async () => {
  port.close();
  await rm(root, { recursive: true, force: true });
});

function token(change: Record<string, unknown> = {}): string {
  const facts = {
    td: authority.trustDomain,
    root: rootFingerprint(authority.root.certificate),
    routers: [address],
    id: "t1",
    ...change,
  };
  return `spt1.${Buffer.from(JSON.stringify(facts)).toString("base64url")}.c2VjcmV0`;
}

test("a token becomes a profile on disk that opens", async () => {
  const profile = await enroll({ token: token(), profile: "agent", folders });
  expect(profile.svid.identity.id.uri).toBe("spiffe://sallyport.local/workload/agent/a1");
  expect(service.enrollRequests[0]?.evidence).toStrictEqual({
    $case: "token",
    value: { tokenId: "t1", secret: "c2VjcmV0" },
  });
  expect((await loadProfile("agent", folders)).svid.serial).toBe(profile.svid.serial);
});

test("a repetition after a lost answer asks with the same key", async () => {
  service.loseAnswers = 1;
  await expect(enroll({ token: token(), profile: "agent", folders })).rejects.toMatchObject({
    code: "ROUTER_UNREACHABLE",
  });
  await enroll({ token: token(), profile: "agent", folders });
  const [first, second] = await Promise.all(service.enrollRequests.map(({ csr }) => verifyCsr(csr)));
  expect(first?.spki.toString("hex")).toBe(second?.spki.toString("hex"));
});

test("a refusal names its code and gives the key up", async () => {
  service.refuseWith = { code: "TOKEN_ALREADY_USED", message: "The token was redeemed with another key." };
  await expect(enroll({ token: token(), profile: "agent", folders })).rejects.toMatchObject({
    code: "ENROLLMENT_REFUSED",
    message: "The token was redeemed with another key. (TOKEN_ALREADY_USED)",
  });
});

test.each([
  { code: "TOKEN_ALREADY_USED", status: 9, sameKey: false },
  { code: "STORE_UNAVAILABLE", status: 14, sameKey: true },
  { code: "RATE_LIMITED", status: 8, sameKey: true },
])("after $code the next attempt asks with the same key: $sameKey", async ({ code, status, sameKey }) => {
  service.refuseWith = { code, message: "No.", status };
  await expect(enroll({ token: token(), profile: "agent", folders })).rejects.toMatchObject({
    code: "ENROLLMENT_REFUSED",
  });
  service.refuseWith = undefined;
  await enroll({ token: token(), profile: "agent", folders });
  const [first, second] = await Promise.all(service.enrollRequests.map(({ csr }) => verifyCsr(csr)));
  expect(first?.spki.equals(second?.spki ?? Buffer.alloc(0))).toBe(sameKey);
});

describe("the token's secret goes to nobody but the network that the token names", () => {
  test("not to a server with another root", async () => {
    const pinned = token({ root: "00".repeat(32) });
    await expect(enroll({ token: pinned, profile: "agent", folders })).rejects.toMatchObject({
      code: "ROUTER_UNREACHABLE",
    });
    expect(service.enrollRequests).toStrictEqual([]);
  });

  test("not to a workload of the network that poses as enrollment", async () => {
    const imposter = workloadId(authority.trustDomain, "enrollment", "1");
    service = await enrollmentService({ authority, subject: agentId(), routers: [address], identityId: imposter });
    await expect(enroll({ token: token(), profile: "agent", folders })).rejects.toMatchObject({
      code: "ROUTER_UNREACHABLE",
    });
    expect(service.enrollRequests).toStrictEqual([]);
  });
});

test.each([
  ["another version", "spt2.e30.eA"],
  ["cut off", "spt1.e30"],
  ["without routers", token2({ routers: [] })],
  ["with a root that is no fingerprint", token2({ root: "root" })],
])("a token %s is malformed, and the error does not quote it", async (_, text) => {
  const error: unknown = await enroll({ token: text, profile: "agent", folders }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "TOKEN_MALFORMED" });
  expect(String(error)).not.toContain(text.slice(5));
});

function token2(change: Record<string, unknown>): string {
  const facts = { td: "sallyport.local", root: "00".repeat(32), routers: ["r:1"], id: "t1", ...change };
  return `spt1.${Buffer.from(JSON.stringify(facts)).toString("base64url")}.c2VjcmV0`;
}

function agentId(): SpiffeId {
  return workloadId(authority.trustDomain, "agent", "a1");
}
