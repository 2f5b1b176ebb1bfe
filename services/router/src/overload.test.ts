import { once } from "node:events";
import { connect, type Socket } from "node:net";
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
])(
  "maxQueuedBytesPerTunnel, maxQueuedBytes: a host that reads nothing is ended at %s, and its dialers' tunnels live on",
  async (_, limits) => {
    await using network = await RouterNetwork.start({ limits });
    await ended(await unreadHost(network));
    expect(network.recorded("tunnel.closed").map(({ actorName }) => actorName)).toEqual(["shelf"]);
    expect(network.router.counters.shed).toEqual(Object.fromEntries(Object.keys(limits).map((limit) => [limit, 1])));
    expect(network.recorded("circuit.closed")).toHaveLength(streams);
    await network.host("shelf", ["files"]);
    const [{ peer } = { peer: null }] = [...network.router.switchboard.tunnels];
    expect(peer?.identity.id.uri).toBe(network.workloadId("agent").uri);
  },
);

/** An old circuit whose bytes go to and fro until `stop`, each turn waited for. */
class Conversation {
  readonly #stream: TunnelStream;
  #stopped = false;
  turns = 0;
  slowestMs = 0;

  private constructor(stream: TunnelStream) {
    this.#stream = stream;
  }

  static async start(network: RouterNetwork): Promise<Conversation> {
    const host = await network.host("shelf", ["files"]);
    const stream = await network.circuit(await network.connect("agent"), "files");
    const hosted = await host.next();
    hosted.on("data", (chunk: Buffer) => hosted.write(chunk));
    return new Conversation(stream);
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const startedAt = performance.now();
      this.#stream.write("turn");
      await once(this.#stream, "data", { signal: AbortSignal.timeout(10_000) });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
      this.turns += 1;
    }
  }

  stop(): void {
    this.#stopped = true;
  }
}

async function floodOfOpens(network: RouterNetwork): Promise<void> {
  const raw = await RawTunnel.connect(network, "other");
  for (let streamId = 1; streamId < 3_000; streamId += 2) raw.open(streamId, "files");
  for (let answers = 0; answers < 1_500; answers += 1) await raw.next(FrameType.refuse);
  raw.socket.destroy();
}

/** From an address of its own: connections that say nothing, and connections that begin by a line of HTTP. */
async function floodOfConnections(network: RouterNetwork): Promise<void> {
  const sockets = Array.from({ length: 300 }, () =>
    connect({ ...network.router.address, localAddress: "127.0.0.2" }).on("error", () => undefined),
  );
  for (const [at, socket] of sockets.entries()) if (at % 2 === 0) socket.write("GET / HTTP/1.1\r\n\r\n");
  await Promise.all(sockets.map((socket: Socket) => new Promise((resolve) => socket.once("close", resolve).resume())));
}

/** One identity that wants more tunnels than it may have. */
async function floodOfTunnels(network: RouterNetwork): Promise<void> {
  const identity = await network.authority.source(network.workloadId("other", "2"));
  const attempts = Array.from({ length: 12 }, () =>
    network
      .connectAs(identity)
      .then(() => true)
      .catch(() => false),
  );
  const admitted = (await Promise.all(attempts)).filter((isIn) => isIn);
  expect(admitted).toHaveLength(3);
}

test("floods of opens, connections and tunnels are shed by the limit that each meets, and an old circuit's bytes keep moving", async () => {
  await using network = await RouterNetwork.start({
    limits: {
      firstByteMs: 500,
      opensPerSecondPerIdentity: 100,
      openBurstPerIdentity: 100,
      maxTunnelsPerIdentity: 3,
      maxUnprovenPerSource: 60,
    },
  });
  const conversation = await Conversation.start(network);
  const talking = conversation.run();
  await Promise.all([floodOfOpens(network), floodOfConnections(network), floodOfTunnels(network)]);
  conversation.stop();
  await talking;
  const { shed, circuitsRefused, tunnelsRefused } = network.router.counters;
  expect(Object.keys(shed).toSorted()).toEqual(
    expect.arrayContaining(["maxTunnelsPerIdentity", "maxUnprovenPerSource", "opensPerSecondPerIdentity"]),
  );
  expect(circuitsRefused).toBe(1_500);
  expect(tunnelsRefused).toBeGreaterThan(200);
  expect(conversation.turns).toBeGreaterThan(20);
  expect(conversation.slowestMs).toBeLessThan(5_000);
});
