import { once } from "node:events";
import { connectMtls } from "@sallyport/mtls";
import { expect, test } from "vitest";
import { RouterNetwork } from "./testing/router-network.ts";

test("a workload that leaves before its hello, having seen which router this is, leaves nothing on record", async () => {
  await using network = await RouterNetwork.start();
  const { socket } = await connectMtls({
    carrier: network.router.address,
    identity: await network.authority.source(network.workloadId("agent")),
    trust: network.authority.bundle,
    alpn: "sallyport/1",
    expect: (peer) => peer.kind === "router",
  });
  socket.on("error", () => undefined).end();
  socket.resume();
  await once(socket, "close");
  await expect.poll(() => network.router.switchboard.tunnels.size).toBe(0);
  expect(network.events).toStrictEqual([]);
});
