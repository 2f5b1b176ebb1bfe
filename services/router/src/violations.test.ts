import { FrameType } from "@sallyport/frame";
import { connectMtls } from "@sallyport/mtls";
import { ScriptedPeer, violations } from "@sallyport/tunnel/testing";
import { expect, test } from "vitest";
import { RouterNetwork, emptyAccept, reachPolicy } from "./testing/router-network.ts";

/** Everyone may do everything: what is left is the protocol. */
const openPolicy = {
  ...reachPolicy,
  cedarFiles: { "main.cedar": `@id("all") permit (principal, action, resource);` },
  services: ["accepted", "unanswered"].map((name) => ({ name, protocol: "tcp", description: "" })),
};

test.for(violations)("$title ends the tunnel with code $wireCode, and the next one works", async (violation) => {
  await using network = await RouterNetwork.start({ policy: openPolicy });
  await network.host("shelf", ["accepted", "unanswered"], {
    onOpen: (incoming) => {
      if (incoming.open.service === "accepted") incoming.accept(emptyAccept).on("error", () => undefined);
    },
  });
  const { socket } = await connectMtls({
    carrier: network.router.address,
    identity: await network.authority.source(network.workloadId("agent")),
    trust: network.authority.bundle,
    alpn: "sallyport/1",
    expect: () => true,
  });
  const peer = new ScriptedPeer(socket);
  if (violation.silentStart === undefined) {
    peer.sendHello();
    await peer.next(FrameType.control);
  }
  await violation.act(peer);
  expect(await peer.goawayCode()).toBe(violation.wireCode);
  await network.circuit(await network.connect("agent"), "accepted");
});
