import { Kvm, type KV } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { createCsr, generateKeyPair } from "@sallyport/identity";
import { natsServer } from "@sallyport/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generationStore } from "../store/generation-store.ts";
import { tokenStore } from "../store/token-store.ts";
import { newToken } from "./create-token.ts";
import type { Certifier, TokenStore } from "./ports.ts";
import { Redeemer } from "./redeem.ts";

const owned = new AsyncDisposableStack();
let kv: KV;

beforeAll(async () => {
  const nats = owned.use(await natsServer());
  const connection = await connect({ servers: nats.url });
  owned.defer(() => connection.close());
  kv = await new Kvm(connection).create("enrollment");
});

afterAll(() => owned.disposeAsync());

/** A replica of the service: its own process would share nothing but the bucket. */
function replica(parts: {
  readonly tokens?: Partial<TokenStore>;
  readonly certifier: Certifier;
  readonly now?: () => number;
}): Redeemer {
  const { tokens = {}, certifier, now = Date.now } = parts;
  return new Redeemer({
    trustDomain: "a.org",
    tokens: { ...tokenStore(kv), ...tokens },
    generations: generationStore(kv),
    certifier,
    revocations: { check: () => undefined },
    now,
  });
}

async function redemption(): Promise<{
  readonly request: Parameters<Redeemer["redeem"]>[0];
  readonly other: Parameters<Redeemer["redeem"]>[0];
}> {
  const { token, secret } = newToken(
    { workload: "agent", ttlSeconds: 0, keyThumbprint: "", createdBy: "spiffe://a.org/admin/local" },
    Date.now(),
  );
  await tokenStore(kv).create(token);
  const csr = (): Promise<Buffer> => createCsr(generateKeyPair().privateKey);
  return {
    request: { tokenId: token.id, secret, csr: await csr() },
    other: { tokenId: token.id, secret, csr: await csr() },
  };
}

test("of two replicas that both saw an unused token only one hands out a certificate", async () => {
  const { request, other } = await redemption();
  const certified: string[] = [];
  const firstCertifies = Promise.withResolvers<void>();
  const secondIsDone = Promise.withResolvers<void>();
  const first = replica({
    certifier: {
      certify: async ({ id }) => {
        firstCertifies.resolve();
        await secondIsDone.promise;
        certified.push(id.uri);
        return [Buffer.from("first")];
      },
    },
  });
  const store = tokenStore(kv);
  const second = replica({
    // Claims only when the first one has claimed already and waits for the CA.
    tokens: {
      replace: async (revision, token) => {
        await firstCertifies.promise;
        return await store.replace(revision, token);
      },
    },
    certifier: {
      certify: async ({ id }) => {
        certified.push(id.uri);
        return [Buffer.from("second")];
      },
    },
  });
  const slow = second.redeem(other).finally(() => secondIsDone.resolve());
  const [won, lost] = await Promise.allSettled([first.redeem(request), slow]);
  expect(lost).toMatchObject({ status: "rejected", reason: { code: "TOKEN_ALREADY_USED" } });
  expect(won).toMatchObject({ status: "fulfilled", value: { isFirst: true } });
  expect(certified).toHaveLength(1);
});

test("a claim whose process died is finished by the next one that has the key", async () => {
  const { request, other } = await redemption();
  const died = replica({
    certifier: { certify: () => new Promise<never>(() => undefined) },
  });
  void died.redeem(request);
  const store = tokenStore(kv);
  await expect.poll(async () => (await store.get(request.tokenId))?.value.state.kind).toBe("claimed");
  const next = replica({ certifier: { certify: async () => [Buffer.from("late")] } });
  await expect(next.redeem(other)).rejects.toMatchObject({ code: "TOKEN_ALREADY_USED" });
  expect(await next.redeem(request)).toMatchObject({ certificateChain: [Buffer.from("late")] });
});

test("when two processes finish one claim, both hand out the same certificate", async () => {
  const { request } = await redemption();
  const bothAsk = Promise.withResolvers<void>();
  let asked = 0;
  const certifierOf = (name: string): Certifier => ({
    certify: async () => {
      asked += 1;
      if (asked === 2) bothAsk.resolve();
      await bothAsk.promise;
      return [Buffer.from(name)];
    },
  });
  const [first, second] = await Promise.all([
    replica({ certifier: certifierOf("first") }).redeem(request),
    replica({ certifier: certifierOf("second") }).redeem(request),
  ]);
  expect(first.certificateChain).toEqual(second.certificateChain);
});

test("a token is dead at its end, to the millisecond", async () => {
  const { request } = await redemption();
  const end = (await tokenStore(kv).get(request.tokenId))?.value.expiresAtUnixMs ?? 0;
  const at = (now: number): Redeemer =>
    replica({ now: () => now, certifier: { certify: async () => [Buffer.from("c")] } });
  await expect(at(end).redeem(request)).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
  await at(end - 1).redeem(request);
});
