import { FrameType, INITIAL_WINDOW_BYTES, WireCode } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import {
  acceptNext,
  announceShelf,
  delta,
  dialFor,
  goawayOf,
  linkHost,
  refusalCodeOf,
  snapshot,
  withOtherRouter,
} from "../testing/other-router.ts";
import { RouterNetwork } from "../testing/router-network.ts";

async function closed(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", resolve));
  return stream.errored;
}

test("beyond `maxStreamsPerLink` and `opensPerSecondPerLink` a dial over the link is refused, and the link lives", async () => {
  const { network, raw } = await withOtherRouter({ limits: { maxStreamsPerLink: 1 } });
  await using _ = network;
  const host = await network.host("shelf", ["files"]);
  raw.open(1, "files", dialFor(network, host.id.uri));
  await raw.next(FrameType.accept);
  raw.open(3, "files", dialFor(network, host.id.uri));
  expect(await refusalCodeOf(raw)).toBe("OVERLOADED");
  const { network: second, raw: quick } = await withOtherRouter({ limits: { opensPerSecondPerLink: 2 } });
  await using __ = second;
  const nobody = second.workloadId("shelf").uri;
  const codes = new Set<string>();
  for (let dials = 0; dials < 12; dials += 1) {
    quick.open(2 * dials + 1, "files", dialFor(second, nobody));
    codes.add(await refusalCodeOf(quick));
  }
  expect([...codes]).toEqual(["NO_HOST", "OVERLOADED"]);
  expect(second.router.links.tunnels.size).toBe(1);
});

test("overloadDelayMs: a late router refuses dials over links too, which lets the other one try another host", async () => {
  const { network, raw } = await withOtherRouter({ loopDelayMs: () => 251 });
  await using _ = network;
  raw.open(1, "files", dialFor(network, network.workloadId("shelf").uri));
  expect(await refusalCodeOf(raw)).toBe("OVERLOADED");
  expect(network.router.counters.shed).toEqual({ overloadDelayMs: 1 });
});

test("a router that dials without heed of any refusal loses its link", async () => {
  const { network, raw } = await withOtherRouter({ limits: { opensPerSecondPerLink: 2 } });
  await using _ = network;
  for (let dials = 0; dials < 40; dials += 1) raw.open(2 * dials + 1, "files", dialFor(network, "nobody"));
  expect(await goawayOf(raw)).toBe(WireCode.limit);
});

test("this router dials no faster over a link than it lets the other one: the next dial is told that there is no room", async () => {
  const { network, raw } = await withOtherRouter({ limits: { opensPerSecondPerLink: 1 } });
  await using _ = network;
  const hostId = await announceShelf(network, raw);
  const dialer = await network.connect("agent");
  for (let dials = 0; dials < 2; dials += 1) {
    const dialed = network.circuit(dialer, "files");
    await acceptNext(raw, hostId);
    await dialed;
  }
  expect(await network.dial(dialer, "files")).toMatchObject({ refusal: { code: "OVERLOADED" } });
  expect(network.router.links.tunnels.size).toBe(1);
});

test("what a link cannot carry is bounded by `maxQueuedBytesPerLink`: the circuits with most of it are reset, the link stays", async () => {
  const { network, raw } = await withOtherRouter({ limits: { maxQueuedBytesPerLink: 4_000_000 } });
  await using _ = network;
  const hostId = await announceShelf(network, raw);
  const dialer = await network.connect("agent");
  const open = async (): Promise<TunnelStream> => {
    const dialed = network.circuit(dialer, "files");
    await acceptNext(raw, hostId);
    return await dialed;
  };
  const greedy: TunnelStream[] = [];
  for (let count = 0; count < 64; count += 1) greedy.push(await open());
  const modest = await open();
  raw.socket.pause();
  modest.write("a little");
  for (const stream of greedy) stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES));
  const firstToGo = await Promise.race(greedy.map((stream) => closed(stream)));
  expect(firstToGo).toMatchObject({ wireCode: WireCode.limit });
  expect(network.recorded("circuit.closed")[0]).toMatchObject({ outcome: "error", errorCode: "OVERLOADED" });
  const [link] = network.router.links.tunnels;
  await expect.poll(() => link?.queuedBytes).toBeLessThan(4_000_000);
  expect(modest.destroyed).toBe(false);
  expect(greedy.some(({ destroyed }) => !destroyed)).toBe(true);
});

test("beyond `maxHostsPerLink` the link ends", async () => {
  const { network, raw } = await withOtherRouter({ limits: { maxHostsPerLink: 2 } });
  await using _ = network;
  raw.control(
    snapshot(
      1,
      ["files", "vault", "secret"].map((service) => linkHost(network, "shelf", { service })),
    ),
  );
  expect(await goawayOf(raw)).toBe(WireCode.limit);
  expect(network.router.switchboard.hosts.list()).toEqual([]);
});

test("beyond `controlsPerSecondPerLink` the link ends", async () => {
  const { network, raw } = await withOtherRouter({ limits: { controlsPerSecondPerLink: 10 } });
  await using _ = network;
  raw.control(snapshot(1, []));
  for (let sequence = 2; sequence < 50; sequence += 1) raw.control(delta(sequence, {}));
  expect(await goawayOf(raw)).toBe(WireCode.limit);
});

test("a router that nobody has heard of for `forgetRouterAfterMs` is dialed no more, until there is word of it again", async () => {
  await using network = await RouterNetwork.start({ limits: { forgetRouterAfterMs: 300 } });
  const { links } = network.router;
  const absent = { routerId: "spiffe://sallyport.local/router/9", epoch: 1, linkAddress: "127.0.0.1:1" };
  links.learn(absent);
  await expect
    .poll(() => links.routers.map(({ state }) => state))
    .toMatchObject([{ kind: "connecting", lastFailure: expect.stringMatching(/./) }]);
  await expect.poll(() => links.routers, { timeout: 5_000 }).toEqual([]);
  links.learn(absent);
  expect(links.routers).toHaveLength(1);
});
