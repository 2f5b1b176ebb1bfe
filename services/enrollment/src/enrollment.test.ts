import { generateKeyPairSync } from "node:crypto";
import {
  createCsr,
  createSvid,
  generateKeyPair,
  rootFingerprint,
  routerId,
  spkiOf,
  thumbprint,
  verifyChain,
} from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import type { EnrollRequest, EnrollResponse } from "@sallyport/proto/enrollment";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EnrollmentWorld } from "./enrollment-world.test-support.ts";

let world: EnrollmentWorld;

beforeAll(async () => {
  world = await EnrollmentWorld.open();
});

afterAll(() => world[Symbol.asyncDispose]());

afterEach(() => {
  world.beforeCertifying = async () => undefined;
});

type Token = Awaited<ReturnType<EnrollmentWorld["token"]>>;

function evidence(token: Pick<Token, "tokenId" | "secret">, csr: Buffer): EnrollRequest {
  return { csr, evidence: { $case: "token", value: { tokenId: token.tokenId, secret: token.secret } } };
}

async function newKey(): Promise<{ readonly privateKey: Parameters<typeof createCsr>[0]; readonly csr: Buffer }> {
  const { privateKey } = generateKeyPair();
  return { privateKey, csr: await createCsr(privateKey) };
}

async function enroll(token: Token, csr: Buffer): Promise<EnrollResponse> {
  return await (await world.stranger()).enroll(evidence(token, csr));
}

test("nobody is enrolled before a current deny-list has arrived", async () => {
  const token = await world.token("early");
  const { csr } = await newKey();
  await expect(enroll(token, csr)).rejects.toMatchObject({ code: "REVOCATIONS_UNKNOWN" });
  await world.publishPolicy();
  await enroll(token, csr);
});

describe("a token", () => {
  test("holds what a workload needs to recognize us, and its secret is kept nowhere", async () => {
    const token = await world.token("agent");
    expect(world.events.at(-1)).toMatchObject({
      kind: "token.created",
      actorName: "local",
      attributes: { workload: "agent", token: token.tokenId },
    });
    const [form, facts = "", secret = ""] = token.text.split(".");
    expect(form).toBe("spt1");
    expect(JSON.parse(Buffer.from(facts, "base64url").toString())).toEqual({
      td: "a.org",
      root: rootFingerprint(world.authority.root.certificate),
      routers: ["router.test:443"],
      id: token.tokenId,
    });
    expect(Buffer.from(secret, "base64url")).toHaveLength(32);
    const kept = await world.kv.get(`token.${token.tokenId}`);
    expect(kept?.string()).not.toContain(secret);
    expect(JSON.stringify(world.events)).not.toContain(secret);
    expect(JSON.stringify(await (await world.admin()).listTokens({}))).not.toContain(secret);
  });

  test("is listed with who made it, and with the instance once it was redeemed", async () => {
    const token = await world.token("listed");
    const find = async (): Promise<unknown> =>
      (await (await world.admin()).listTokens({})).tokens.find(({ tokenId }) => tokenId === token.tokenId);
    expect(await find()).toMatchObject({
      workload: "listed",
      createdBy: "spiffe://a.org/admin/local",
      redeemedByInstance: "",
    });
    const { spiffeId } = await enroll(token, (await newKey()).csr);
    expect(await find()).toMatchObject({ redeemedByInstance: spiffeId.split("/").at(-1) });
  });

  test.each([
    [{ workload: "Agent" }, "NAME_INVALID", "workload"],
    [{ workload: "a/b" }, "NAME_INVALID", "workload"],
    [{ ttlSeconds: 9 }, "TTL_OUT_OF_RANGE", "ttl_seconds"],
    [{ ttlSeconds: 86_401 }, "TTL_OUT_OF_RANGE", "ttl_seconds"],
    [{ keyThumbprint: "x" }, "KEY_THUMBPRINT_INVALID", "key_thumbprint"],
  ])("is not made of %j", async (changes, code, field) => {
    await expect(world.token("agent", changes)).rejects.toMatchObject({ code, field });
  });

  test("is made by administrators only", async () => {
    const request = { workload: "agent", ttlSeconds: 0, keyThumbprint: "" };
    const router = await world.client(await world.authority.source(routerId("a.org", "r1")));
    for (const client of [await world.workload("agent", "one"), router]) {
      await expect(client.createToken(request)).rejects.toMatchObject({ code: "CALLER_NOT_ALLOWED" });
      await expect(client.listTokens({})).rejects.toMatchObject({ code: "CALLER_NOT_ALLOWED" });
    }
  });
});

describe("redemption", () => {
  test("gives a certificate for the token's name, whatever the request's names are", async () => {
    const { privateKey, csr } = await newKey();
    const answer = await enroll(await world.token("agent"), csr);
    const { identity } = verifyChain(answer.certificateChain, world.authority.bundle, new Date());
    expect(identity).toMatchObject({ kind: "workload", name: "agent" });
    expect(answer).toMatchObject({
      spiffeId: identity.id.uri,
      routers: ["router.test:443"],
      generation: 1,
      bundle: { trustDomain: "a.org" },
    });
    expect(createSvid(answer.certificateChain, privateKey).identity.id.uri).toBe(answer.spiffeId);
    expect(world.events.at(-1)).toMatchObject({
      kind: "workload.enrolled",
      actorId: answer.spiffeId,
      actorName: "agent",
    });
  });

  test("by many keys at once gives exactly one certificate", async () => {
    const token = await world.token("raced");
    const strangers = await Promise.all([world.stranger(), world.stranger(), world.stranger()]);
    const keys = await Promise.all(Array.from({ length: 30 }, newKey));
    const outcomes = await Promise.allSettled(
      keys.map(({ csr }, index) => (strangers[index % 3] ?? strangers[0]).enroll(evidence(token, csr))),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const codes = outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : "enrolled"));
    expect(new Set(codes)).toEqual(new Set(["enrolled", "TOKEN_ALREADY_USED"]));
    expect(world.certified.filter((uri) => uri.includes("/raced/"))).toHaveLength(1);
  });

  test("by one key at once and again gives the same certificate each time", async () => {
    const token = await world.token("repeated");
    const { csr } = await newKey();
    const answers = await Promise.all(Array.from({ length: 8 }, () => enroll(token, csr)));
    answers.push(await enroll(token, csr));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(world.certified.filter((uri) => uri.includes("/repeated/"))).toHaveLength(1);
    expect(
      world.events.filter(({ kind, actorName }) => kind === "workload.enrolled" && actorName === "repeated"),
    ).toHaveLength(1);
  });

  test("by another key is refused, also after the first one", async () => {
    const token = await world.token("agent");
    await enroll(token, (await newKey()).csr);
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "TOKEN_ALREADY_USED" });
    expect(world.events.at(-1)).toMatchObject({
      kind: "enrollment.refused",
      errorCode: "TOKEN_ALREADY_USED",
      decision: "",
      attributes: { token: token.tokenId, workload: "agent" },
    });
  });

  test("of a token that is bound to a key is refused to any other key", async () => {
    const { privateKey, csr } = await newKey();
    const token = await world.token("bound", { keyThumbprint: thumbprint(spkiOf(privateKey)) });
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "TOKEN_KEY_MISMATCH" });
    await enroll(token, csr);
  });

  test("is given back when the CA cannot issue, so that a new key may try", async () => {
    const token = await world.token("unlucky");
    world.beforeCertifying = () => Promise.reject(new Error("the CA is away"));
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "INTERNAL" });
    world.beforeCertifying = async () => undefined;
    await enroll(token, (await newKey()).csr);
  });

  test("says the same of a wrong secret, of an unknown token and of no token", async () => {
    const token = await world.token("agent");
    const { csr } = await newKey();
    const stranger = await world.stranger();
    const answers = await Promise.allSettled([
      stranger.enroll(evidence({ ...token, secret: "wrong" }, csr)),
      stranger.enroll(evidence({ ...token, secret: "" }, csr)),
      stranger.enroll(evidence({ ...token, secret: "x".repeat(2000) }, csr)),
      stranger.enroll(evidence({ tokenId: "0".repeat(32), secret: token.secret }, csr)),
      stranger.enroll(evidence({ tokenId: "../policy.head", secret: token.secret }, csr)),
      stranger.enroll(evidence({ tokenId: "*", secret: token.secret }, csr)),
    ]);
    const messages = answers.map((answer) =>
      answer.status === "rejected" ? `${answer.reason.code} ${answer.reason.message}` : "enrolled",
    );
    expect(new Set(messages)).toEqual(new Set(["TOKEN_UNKNOWN The token is not known here."]));
    await expect(stranger.enroll({ csr, evidence: undefined })).rejects.toMatchObject({ code: "TOKEN_UNKNOWN" });
    await enroll(token, csr);
  });

  test("leaves no secret in the log or the record, not even when it fails", async () => {
    const token = await world.token("discreet");
    const { csr } = await newKey();
    world.beforeCertifying = () => Promise.reject(new Error("the CA is away"));
    await expect(enroll(token, csr)).rejects.toMatchObject({ code: "INTERNAL" });
    world.beforeCertifying = async () => undefined;
    await expect(enroll(token, Buffer.alloc(1))).rejects.toMatchObject({ code: "CSR_INVALID" });
    await enroll(token, csr);
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "TOKEN_ALREADY_USED" });
    const written = world.logLines.join("") + JSON.stringify(world.events);
    expect(written).toContain("the CA is away");
    expect(written).toContain(token.tokenId);
    expect(written).not.toContain(token.secret);
    expect(written).not.toContain(Buffer.from(token.secret, "base64url").toString("hex"));
  });

  test("refuses requests without proof of possession, for other curves, and too large, without spending the token", async () => {
    const token = await world.token("agent");
    const { csr } = await newKey();
    const damaged = Buffer.from(csr);
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    const p384 = await createCsr(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey);
    for (const bad of [damaged, p384, Buffer.alloc(5000), Buffer.alloc(0)])
      await expect(enroll(token, bad)).rejects.toMatchObject({ code: "CSR_INVALID", field: "csr" });
    await expect(enroll(token, Buffer.alloc(20_000))).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await enroll(token, csr);
  });

  test("is refused after the token's end", async () => {
    const token = await world.token("agent");
    const key = `token.${token.tokenId}`;
    const kept = await world.kv.get(key);
    await world.kv.put(
      key,
      JSON.stringify({ ...kept?.json<Record<string, unknown>>(), expiresAtUnixMs: Date.now() - 1 }),
    );
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
  });

  test("is refused for a revoked name", async () => {
    const token = await world.token("thief");
    await world.publishPolicy([{ $case: "name", value: "thief" }]);
    await expect(enroll(token, (await newKey()).csr)).rejects.toMatchObject({ code: "IDENTITY_REVOKED" });
    expect(world.certified.some((uri) => uri.includes("/thief/"))).toBe(false);
    await world.publishPolicy();
    await enroll(token, (await newKey()).csr);
  });

  test("repeats no answer for an instance that was revoked meanwhile", async () => {
    const token = await world.token("agent");
    const { csr } = await newKey();
    const { spiffeId } = await enroll(token, csr);
    await world.publishPolicy([{ $case: "instance", value: spiffeId }]);
    await expect(enroll(token, csr)).rejects.toMatchObject({ code: "IDENTITY_REVOKED" });
    await world.publishPolicy();
  });
});

describe("renewal", () => {
  async function enrolled(
    name: string,
  ): Promise<{ readonly client: Awaited<ReturnType<EnrollmentWorld["workload"]>>; readonly answer: EnrollResponse }> {
    const { privateKey, csr } = await newKey();
    const answer = await enroll(await world.token(name), csr);
    return { client: await world.enrolled(answer, privateKey), answer };
  }

  test("gives the same name and instance for a new key, and counts", async () => {
    const { client, answer } = await enrolled("agent");
    const { privateKey, csr } = await newKey();
    const renewed = await client.renew({ csr, generation: 1 });
    expect(createSvid(renewed.certificateChain, privateKey).identity.id.uri).toBe(answer.spiffeId);
    expect(renewed).toMatchObject({ spiffeId: answer.spiffeId, generation: 2, routers: ["router.test:443"] });
    expect(world.events.at(-1)).toMatchObject({
      kind: "workload.renewed",
      actorId: answer.spiffeId,
      attributes: { generation: "2" },
    });
  });

  test("whose answer was lost is repeated by the same key", async () => {
    const { client } = await enrolled("agent");
    const { csr } = await newKey();
    expect((await client.renew({ csr, generation: 1 })).generation).toBe(2);
    expect((await client.renew({ csr, generation: 1 })).generation).toBe(2);
    expect((await client.renew({ csr: (await newKey()).csr, generation: 2 })).generation).toBe(3);
  });

  test("by a copy of an older credential is refused and on record", async () => {
    const { client, answer } = await enrolled("agent");
    await client.renew({ csr: (await newKey()).csr, generation: 1 });
    await expect(client.renew({ csr: (await newKey()).csr, generation: 1 })).rejects.toMatchObject({
      code: "GENERATION_MISMATCH",
    });
    await expect(client.renew({ csr: (await newKey()).csr, generation: 7 })).rejects.toMatchObject({
      code: "GENERATION_MISMATCH",
    });
    expect(world.events.at(-1)).toMatchObject({
      kind: "enrollment.refused",
      errorCode: "GENERATION_MISMATCH",
      actorId: answer.spiffeId,
    });
  });

  test("by original and copy at once succeeds once", async () => {
    const { client } = await enrolled("agent");
    const keys = await Promise.all(Array.from({ length: 6 }, newKey));
    const outcomes = await Promise.allSettled(keys.map(({ csr }) => client.renew({ csr, generation: 1 })));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("of an instance that was never enrolled is refused", async () => {
    await expect(
      (await world.workload("agent", "unknown")).renew({ csr: (await newKey()).csr, generation: 1 }),
    ).rejects.toMatchObject({ code: "GENERATION_MISMATCH" });
  });

  test("costs no generation while the CA is away", async () => {
    const { client } = await enrolled("agent");
    world.beforeCertifying = () => Promise.reject(new Error("the CA is away"));
    await expect(client.renew({ csr: (await newKey()).csr, generation: 1 })).rejects.toMatchObject({
      code: "INTERNAL",
    });
    world.beforeCertifying = async () => undefined;
    expect((await client.renew({ csr: (await newKey()).csr, generation: 1 })).generation).toBe(2);
  });

  test("is refused for a revoked name, instance, serial and issuer", async () => {
    const { client, answer } = await enrolled("agent");
    const { serial, issuers } = verifyChain(answer.certificateChain, world.authority.bundle, new Date());
    const [issuer = ""] = issuers;
    const before = world.certified.length;
    for (const kind of [
      { $case: "name", value: "agent" },
      { $case: "instance", value: answer.spiffeId },
      { $case: "serial", value: serial },
      { $case: "issuer", value: issuer },
    ] as const) {
      await world.publishPolicy([kind]);
      await expect(client.renew({ csr: (await newKey()).csr, generation: 1 })).rejects.toMatchObject({
        code: "IDENTITY_REVOKED",
      });
    }
    expect(world.certified).toHaveLength(before);
    await world.publishPolicy();
  });

  test("is for workloads only", async () => {
    await expect((await world.admin()).renew({ csr: (await newKey()).csr, generation: 1 })).rejects.toMatchObject({
      code: "CALLER_NOT_ALLOWED",
    });
  });
});

describe("the listener for strangers", () => {
  test("is recognized by the root that a token names, under the protocol that routers pass through", async () => {
    const trust = { rootFingerprint: rootFingerprint(world.authority.root.certificate), trustDomain: "a.org" };
    const carrier = { host: "127.0.0.1", port: world.enrollPort };
    const { socket, peer } = await connectMtls({
      carrier,
      identity: null,
      trust,
      alpn: "sallyport-enroll/1",
      expect: () => true,
    });
    socket.destroy();
    expect(peer.identity).toMatchObject({ kind: "service", name: "enrollment" });
  });

  test("lets through what it can bear and refuses the rest", async () => {
    const stranger = await world.stranger();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 300 }, () => stranger.enroll({ csr: Buffer.alloc(0), evidence: undefined })),
    );
    const codes = outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : "enrolled"));
    expect(codes.filter((code) => code === "RATE_LIMITED").length).toBeGreaterThan(100);
  });
});
