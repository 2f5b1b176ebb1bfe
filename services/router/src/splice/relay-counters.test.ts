/** What the splice claims, measured on a real router: bytes are not copied, frames leave together, and memory that is freed early was needed by nobody. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { MAX_PAYLOAD_BYTES } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { RouterNetwork } from "../testing/router-network.ts";

async function digestOf(stream: TunnelStream): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}

/** Random bytes in writes of those sizes, in turns; answers with their digest. */
async function send(stream: TunnelStream, sizes: readonly number[], writes: number): Promise<string> {
  const hash = createHash("sha256");
  for (let write = 0; write < writes; write += 1) {
    const bytes = randomBytes(sizes[write % sizes.length] ?? 1);
    hash.update(bytes);
    if (!stream.write(bytes)) await once(stream, "drain");
  }
  stream.end();
  return hash.digest("hex");
}

test("full frames pass without a copy, several to a write", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const stream = await network.circuit(await network.connect("agent"), "files");
  const received = digestOf(await host.next());
  const sent = await send(stream, [MAX_PAYLOAD_BYTES * 8], 160);
  expect(await received).toBe(sent);
  const { bytesForwarded, bytesCopied, framesForwarded, writes } = network.router.counters.relay;
  expect(bytesForwarded).toBe(MAX_PAYLOAD_BYTES * 8 * 160);
  expect(bytesCopied / bytesForwarded).toBeLessThan(0.02);
  expect(framesForwarded / writes).toBeGreaterThan(1.5);
});

test("frames of every size, cut anywhere and bound for two tunnels, one of them slow, arrive unchanged", async () => {
  await using network = await RouterNetwork.start();
  const hosts = [await network.host("shelf", ["files"]), await network.host("shelf", ["files"])];
  const dialer = await network.connect("agent");
  const streams: TunnelStream[] = [];
  for (let circuit = 0; circuit < 6; circuit += 1) streams.push(await network.circuit(dialer, "files"));
  expect(hosts.map(({ opens }) => opens.length)).toEqual([3, 3]);
  const hosted: TunnelStream[] = [];
  for (const host of hosts) for (let each = 0; each < 3; each += 1) hosted.push(await host.next());
  const sizes = [1, 700, 16_376, 9_000, 40_000, 33, 5_000];
  const sent = Promise.all(streams.map((stream, index) => send(stream, sizes.slice(index), 200)));
  // The first host's streams are read one after another, so that two of them wait at the router's far end for most of the time.
  const slow = (async () => {
    const digests: string[] = [];
    for (const stream of hosted.slice(0, 3)) digests.push(await digestOf(stream));
    return digests;
  })();
  const quick = Promise.all(hosted.slice(3).map(digestOf));
  const received = [...(await slow), ...(await quick)];
  expect(received.toSorted()).toEqual((await sent).toSorted());
});
