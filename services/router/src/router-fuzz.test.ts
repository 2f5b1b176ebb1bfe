/** A dialer and a host that send at random: the router goes on, no circuit of others suffers, and what it holds for them is given back. */
import { FrameType, encodeFrame } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { fuzzBytes, type FuzzKind, type FuzzStep } from "@sallyport/tunnel/testing";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RouterNetwork, emptyAccept } from "./testing/router-network.ts";
import { openPolicy, scriptedHost, scriptedWorkload } from "./testing/scripted-workload.ts";

let network: RouterNetwork;
let innocent: TunnelStream;

beforeAll(async () => {
  // Any number of them may come from one source here, as fast as they can.
  const limits = { connectionsPerSecondPerSource: 10_000, handshakesPerSecond: 10_000, handshakeBurst: 1_000 };
  network = await RouterNetwork.start({ policy: openPolicy, limits });
  await network.host("shelf", ["accepted", "unanswered"], {
    onOpen: (incoming) => {
      if (incoming.open.service !== "accepted") return;
      const stream = incoming.accept(emptyAccept);
      stream.on("error", () => undefined).pipe(stream);
    },
  });
  innocent = await network.circuit(await network.connect("other"), "accepted");
});

afterAll(async () => {
  await network[Symbol.asyncDispose]();
});

function stepsOn(...streamIds: readonly number[]): fc.Arbitrary<readonly FuzzStep[]> {
  const step = fc.record({
    // Those of open streams far more often, or no sequence would get past its first few frames.
    kind: fc.oneof(
      { weight: 40, arbitrary: fc.constantFrom<FuzzKind[]>("data", "window", "fin", "reset", "ping") },
      { weight: 2, arbitrary: fc.constantFrom<FuzzKind[]>("open", "accept", "refuse", "control", "drain") },
      { weight: 1, arbitrary: fc.constantFrom<FuzzKind[]>("header", "not protobuf", "bytes") },
    ),
    streamId: fc.constantFrom(...streamIds),
    size: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 16_376 })),
    text: fc.constantFrom("accepted", "unanswered", "scripted", "sallyport.policy", "sallyport.none", "nobody's"),
  });
  return fc.array(step, { maxLength: 40 });
}

async function innocentStillEchoes(): Promise<void> {
  innocent.write("still here");
  const heard = await new Promise((resolve) => innocent.once("data", resolve));
  expect(String(heard)).toBe("still here");
}

test("whatever dialers and hosts send, the router serves the others, and forgets who went", async () => {
  const { tunnels, circuits } = network.router.switchboard;
  const before = tunnels.size;
  await fc.assert(
    fc.asyncProperty(stepsOn(1, 3, 5, 7), stepsOn(2), fc.boolean(), async (dialed, hosted, accepts) => {
      const [dialer, host] = await Promise.all([scriptedWorkload(network), scriptedHost(network)]);
      dialer.sendOpen(1, "scripted").sendOpen(3, "accepted").sendOpen(5, "unanswered").sendOpen(7, "sallyport.policy");
      const { streamId } = await host.next(FrameType.open);
      // Else what comes first is for a stream that nobody accepted.
      if (accepts) {
        host.send(encodeFrame(FrameType.accept, 0, streamId));
        await dialer.next(FrameType.accept);
      }
      dialer.send(Buffer.concat(dialed.map(fuzzBytes)));
      host.send(Buffer.concat(hosted.map(fuzzBytes)));
      await innocentStillEchoes();
      for (const peer of [dialer, host]) peer.endCarrier();
      await expect.poll(() => tunnels.size, { timeout: 5_000, interval: 2 }).toBe(before);
      expect(circuits.size).toBe(1);
      await innocentStillEchoes();
    }),
    { numRuns: 60 },
  );
  for (const { queuedBytes } of tunnels) expect(queuedBytes).toBe(0);
  // The steps are worth something: some break a rule, and some get somewhere.
  const broken = network.recorded("tunnel.closed").filter(({ reason }) => reason?.includes("broke the protocol"));
  expect(broken.length).toBeGreaterThan(5);
  expect(network.recorded("circuit.opened").length).toBeGreaterThan(5);
});
