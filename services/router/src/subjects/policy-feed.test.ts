import { jetstream } from "@nats-io/jetstream";
import { Kvm, type KV } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { DENY_LIST_TYPE, HEAD_TYPE } from "@sallyport/policy-engine";
import { SignedEnvelope, Slice } from "@sallyport/proto/policy";
import { createLogger, retry } from "@sallyport/service";
import { createTestAuthority, natsServer } from "@sallyport/testing";
import { expect, test } from "vitest";
import { PolicyMirror } from "../store/policy-mirror.ts";
import { PolicyAuthor } from "../testing/policy-author.ts";
import { reachPolicy } from "../testing/router-network.ts";
import { followPolicy } from "./policy-feed.ts";

const log = createLogger({ name: "test", instance: "1", level: "silent" });

function keyOf(envelope: SignedEnvelope): string {
  if (envelope.payloadType === HEAD_TYPE) return "head";
  if (envelope.payloadType === DENY_LIST_TYPE) return "denylist";
  return `slice.${Slice.decode(envelope.payload).service}`;
}

/** Again where the bus does not take it: JetStream needs a moment after its server came back. */
async function put(bucket: KV, envelopes: readonly SignedEnvelope[]): Promise<void> {
  const signal = AbortSignal.timeout(15_000);
  for (const envelope of envelopes) {
    const write = (): Promise<number> => bucket.put(keyOf(envelope), SignedEnvelope.encode(envelope).finish());
    await retry(write, { firstMs: 20, maxMs: 200, signal });
  }
}

async function until(mirror: PolicyMirror, isSo: () => boolean): Promise<void> {
  if (isSo()) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = mirror.onChange(() => isSo() && resolve());
  const timer = setTimeout(() => reject(new Error("policy did not come")), 10_000);
  await promise.finally(() => {
    stop();
    clearTimeout(timer);
  });
}

test("what is on the bus is in force within moments: what was there before, each change, and what came while the bus was away", async () => {
  await using nats = await natsServer();
  await using stack = new AsyncDisposableStack();
  const connection = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  stack.defer(() => connection.close());
  const bucket = await new Kvm(jetstream(connection)).create("policy");
  const authority = await createTestAuthority();
  const author = await PolicyAuthor.create(authority);
  await put(bucket, author.publish(reachPolicy));

  const mirror = new PolicyMirror({ bundle: () => authority.bundle });
  const stop = new AbortController();
  const following = followPolicy({ bus: { kv: async () => bucket }, mirror, log, signal: stop.signal });
  await until(mirror, () => mirror.state.freshness().kind === "fresh");
  expect(mirror.slice("files")).not.toBeNull();

  await put(bucket, author.deny({ $case: "name", value: "agent" }));
  await until(mirror, () => mirror.state.versions.denyListVersion === 2);

  await bucket.put("head", Buffer.from("no envelope"));
  await bucket.delete("slice.files");
  await put(bucket, author.publish({ ...reachPolicy, services: reachPolicy.services.slice(1) }));
  await until(mirror, () => mirror.state.versions.policyVersion === 2);
  expect(mirror.slice("files")).toBeNull();

  await nats.kill();
  await nats.start();
  await put(bucket, author.deny({ $case: "name", value: "other" }));
  await until(mirror, () => mirror.state.versions.denyListVersion === 3);
  stop.abort();
  await following;
});
