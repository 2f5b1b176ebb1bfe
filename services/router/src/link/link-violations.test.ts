/** What no peer of a tunnel may send, no router may send over a link. */
import { FrameType } from "@sallyport/frame";
import { routerId } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { ScriptedPeer, violations, type Violation } from "@sallyport/tunnel/testing";
import { expect, test } from "vitest";
import { linkFromOther } from "../testing/other-router.ts";
import { RouterNetwork } from "../testing/router-network.ts";

/** How fast a link may be used is its own affair (link-limits.test.ts), and its OPEN says more (link-streams.test.ts). */
const ofLinks: readonly Violation[] = violations.filter(
  ({ title, usesServices }) => usesServices === undefined && !title.startsWith("a flood"),
);

test.for(ofLinks)("$title ends the link with code $wireCode, and the next one works", async (violation) => {
  await using network = await RouterNetwork.start();
  const { trustDomain } = network.authority;
  const { socket } = await connectMtls({
    carrier: network.router.linkAddress,
    identity: await network.authority.source(routerId(trustDomain, "0")),
    trust: network.authority.bundle,
    alpn: "sallyport-link/1",
    expect: () => true,
  });
  const peer = new ScriptedPeer(socket);
  if (violation.silentStart === undefined) {
    peer.sendHello({ routerId: routerId(trustDomain, "0").uri, routerEpoch: 1 });
    await peer.next(FrameType.control);
  }
  await violation.act(peer);
  expect(await peer.goawayCode()).toBe(violation.wireCode);
  await linkFromOther(network);
});
