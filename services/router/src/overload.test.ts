import { FrameType } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import type { RouterLimits } from "./limits.ts";
import { RawTunnel } from "./testing/raw-tunnel.ts";
import { RouterNetwork } from "./testing/router-network.ts";

const streams = 64;

/** A host that accepts everything and reads nothing, with more on its way than sockets hold. */
async function unreadHost(network: RouterNetwork): Promise<readonly TunnelStream[]> {
  const raw = await RawTunnel.connect(network, "shelf");
  raw.announce("files");
  await raw.next(FrameType.control);
  const dialer = await network.connect("agent");
  const dialed: TunnelStream[] = [];
  for (let i = 0; i < streams; i += 1) {
    const circuit = network.circuit(dialer, "files");
    raw.accept((await raw.next(FrameType.open)).streamId);
    dialed.push(await circuit);
  }
  raw.socket.pause();
  for (const stream of dialed) stream.write(Buffer.alloc(1_000_000));
  return dialed;
}

async function ended(streamsOfHost: readonly TunnelStream[]): Promise<void> {
  const closings = streamsOfHost.map((stream) => new Promise<void>((resolve) => stream.once("close", resolve)));
  await Promise.all(closings);
}

test.each<[string, Partial<RouterLimits>]>([
  ["its own bound", { maxQueuedBytesPerTunnel: 4_000_000 }],
  ["the bound over all", { maxQueuedBytes: 4_000_000 }],
])("a host that reads nothing is ended at %s, and its dialers' tunnels live on", async (_, limits) => {
  await using network = await RouterNetwork.start({ limits });
  await ended(await unreadHost(network));
  expect(network.recorded("tunnel.closed").map(({ actorName }) => actorName)).toEqual(["shelf"]);
  expect(network.recorded("circuit.closed")).toHaveLength(streams);
  await network.host("shelf", ["files"]);
  const [{ peer } = { peer: null }] = [...network.router.switchboard.tunnels];
  expect(peer?.identity.id.uri).toBe(network.workloadId("agent").uri);
});
