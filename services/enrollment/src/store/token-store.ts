import type { KV } from "@nats-io/kv";
import { z } from "zod";
import type { TokenStore } from "../domain/ports.ts";
import type { Token } from "../domain/token.ts";
import { EnrollmentError } from "../errors.ts";
import { Bucket } from "./bucket.ts";

const state = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("unused") }),
  z.strictObject({ kind: z.literal("claimed"), thumbprint: z.string(), instance: z.string() }),
  z.strictObject({
    kind: z.literal("redeemed"),
    thumbprint: z.string(),
    instance: z.string(),
    certificateChain: z.array(z.string()),
  }),
]);

const schema: z.ZodType<Token> = z.strictObject({
  id: z.string(),
  workload: z.string(),
  secretSha256: z.string(),
  createdBy: z.string(),
  createdAtUnixMs: z.int(),
  expiresAtUnixMs: z.int(),
  keyThumbprint: z.string(),
  state,
});

/** Keys `token.<id>`. */
export function tokenStore(kv: KV): TokenStore {
  const bucket = new Bucket(kv, schema);
  return {
    create: async (token) => {
      const created = await bucket.create(keyOf(token.id), token);
      if (created === null) throw new EnrollmentError("STORE_UNAVAILABLE", "There is a token of this id already.");
    },
    get: (id) => bucket.get(keyOf(id)),
    replace: (revision, token) => bucket.replace(keyOf(token.id), revision, token),
    list: () => bucket.list(keyOf("*")),
  };
}

function keyOf(id: string): string {
  return `token.${id}`;
}
