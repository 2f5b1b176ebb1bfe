import { FrameType, encodeFrame } from "@sallyport/frame";
import { connectMtls } from "@sallyport/mtls";
import { Service, type PolicyDocument } from "@sallyport/proto/policy";
import { Control, HostAnnounce } from "@sallyport/proto/tunnel";
import { ScriptedPeer } from "@sallyport/tunnel/testing";
import { type RouterNetwork, emptyAccept, reachPolicy, type TestHost } from "./router-network.ts";

/** Everyone may do everything: what is left is the protocol. */
export const openPolicy: PolicyDocument = {
  ...reachPolicy,
  cedarFiles: { "main.cedar": `@id("all") permit (principal, action, resource);` },
  services: ["accepted", "unanswered", "scripted"].map((name) => Service.create({ name, protocol: "tcp" })),
};

/** A workload that accepts every stream of service `accepted` and leaves others unanswered. */
export async function hostAccepted(network: RouterNetwork): Promise<TestHost> {
  return await network.host("shelf", ["accepted", "unanswered"], {
    onOpen: (incoming) => {
      if (incoming.open.service === "accepted") incoming.accept(emptyAccept).on("error", () => undefined);
    },
  });
}

/** A workload that does exactly as a test says: connected, and nothing said yet. */
export async function silentWorkload(network: RouterNetwork): Promise<ScriptedPeer> {
  const { socket } = await connectMtls({
    carrier: network.router.address,
    identity: await network.authority.source(network.workloadId("agent")),
    trust: network.authority.bundle,
    alpn: "sallyport/1",
    expect: () => true,
  });
  return new ScriptedPeer(socket);
}

/** The same after both hellos. */
export async function scriptedWorkload(network: RouterNetwork): Promise<ScriptedPeer> {
  const peer = await silentWorkload(network);
  peer.sendHello();
  await peer.next(FrameType.control);
  return peer;
}

/** The same as a host of `scripted`. */
export async function scriptedHost(network: RouterNetwork): Promise<ScriptedPeer> {
  const peer = await scriptedWorkload(network);
  const announce = HostAnnounce.create({ service: "scripted" });
  const message = Control.encode({ message: { $case: "hostAnnounce", value: announce } }).finish();
  peer.send(encodeFrame(FrameType.control, 0, 0, message));
  await peer.next(FrameType.control);
  return peer;
}
