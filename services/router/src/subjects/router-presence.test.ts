import { jetstream } from "@nats-io/jetstream";
import { Kvm, type KV } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { createLogger } from "@sallyport/service";
import { natsServer, type TestNatsServer } from "@sallyport/testing";
import { WireCode } from "@sallyport/frame";
import { expect, test } from "vitest";
import { RouterMesh, hostsKnown, linked, presenceOf } from "../testing/router-mesh.ts";
import type { RouterNetwork } from "../testing/router-network.ts";
import { announceRouter, followRouters, type RouterPresence } from "./router-presence.ts";

const log = createLogger({ name: "test", instance: "1", level: "silent" });

async function bucketOn(nats: TestNatsServer, stack: AsyncDisposableStack): Promise<KV> {
  const connection = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  stack.defer(() => connection.close());
  return await new Kvm(jetstream(connection)).create("routers");
}

/** As a router's process does. */
function present(network: RouterNetwork, name: string, bucket: KV, stack: AsyncDisposableStack): void {
  const stop = new AbortController();
  const options = { bus: { kv: async (): Promise<KV> => bucket }, log, signal: stop.signal };
  const presence = { ...presenceOf(network), publicAddress: "" };
  const running = [
    announceRouter({ ...options, name, presence }),
    followRouters({ ...options, onPresence: (seen) => network.router.links.learn(seen) }),
  ];
  stack.defer(async () => {
    stop.abort();
    await Promise.all(running);
  });
}

test("routers find each other by the bus; while it is away links, hosts and dials go on, and a lost link comes again", async () => {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const bucket = await bucketOn(nats, stack);
  const mesh = stack.use(await RouterMesh.open());
  const one = await mesh.add({ name: "1" });
  const two = await mesh.add({ name: "2" });
  present(one, "1", bucket, stack);
  present(two, "2", bucket, stack);
  await linked(one, 1);
  await nats.kill();
  const dialer = await one.connect("agent");
  await two.host("shelf", ["files"]);
  await hostsKnown(one, "files", 1);
  await one.circuit(dialer, "files");
  for (const link of one.router.links.tunnels) link.outlet.abort(WireCode.internal);
  await expect.poll(() => one.recorded("link.opened"), { timeout: 10_000 }).toHaveLength(2);
  await linked(one, 1);
  await hostsKnown(one, "files", 1);
  await one.circuit(dialer, "files");
  await nats.start();
  const three = await mesh.add({ name: "3" });
  present(three, "3", bucket, stack);
  await linked(one, 2);
});

test("an entry that no router of this version wrote is passed over", async () => {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const bucket = await bucketOn(nats, stack);
  const seen: RouterPresence[] = [];
  const stop = new AbortController();
  const bus = { kv: async (): Promise<KV> => bucket };
  const following = followRouters({ bus, log, signal: stop.signal, onPresence: (presence) => seen.push(presence) });
  stack.defer(async () => {
    stop.abort();
    await following;
  });
  for (const text of ["no JSON", "null", "[]", '{"routerId":7}', '{"routerId":"r","epoch":"x"}'])
    await bucket.put("odd", text);
  const presence = { routerId: "spiffe://x/router/1", epoch: 1, publicAddress: "a:1", linkAddress: "b:2" };
  await bucket.put("1", JSON.stringify({ ...presence, atUnixMs: 1, more: true }));
  await expect.poll(() => seen).toEqual([presence]);
});
