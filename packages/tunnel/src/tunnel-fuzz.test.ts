/** Peers that send at random, and users that act at random: no process ends, no other tunnel suffers, and nothing grows. */
import { duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import { INITIAL_WINDOW_BYTES } from "@sallyport/frame";
import { StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IncomingStream } from "./incoming-stream.ts";
import { fuzzBytes, type FuzzKind, type FuzzStep } from "./testing/fuzz-step.ts";
import { ScriptedPeer } from "./testing/scripted-peer.ts";
import type { TunnelStream } from "./tunnel-stream.ts";
import { Tunnel } from "./tunnel.ts";

const dial: StreamOpen = StreamOpen.create({ service: "echo" });

const anyStep: fc.Arbitrary<FuzzStep> = fc.record({
  // Those of open streams far more often, or no sequence would get past its first few frames.
  kind: fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom<FuzzKind[]>("data", "window", "fin", "reset", "ping") },
    { weight: 2, arbitrary: fc.constantFrom<FuzzKind[]>("open", "accept", "refuse", "control", "drain") },
    { weight: 1, arbitrary: fc.constantFrom<FuzzKind[]>("header", "not protobuf", "bytes") },
  ),
  streamId: fc.constantFrom(1, 3, 7, 9, 11),
  size: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 16_376 })),
  text: fc.constantFrom("echo", "keep", "wait", "", "a service"),
});

/** A tunnel whose two ends are honest, in the same process as all that is fuzzed. */
let innocent: { readonly near: Tunnel; readonly far: Tunnel; readonly stream: TunnelStream };

beforeAll(async () => {
  const [one, other] = duplexPair();
  const far = new Tunnel(other, { side: "router", software: "innocent", onOpen: take });
  const near = new Tunnel(one, { side: "workload", software: "innocent" });
  const result = await near.openStream(dial);
  if (result.kind === "refused") throw new Error(result.refusal.message);
  innocent = { near, far, stream: result.stream };
});

afterAll(async () => {
  await Promise.all([innocent.near.close(), innocent.far.close()]);
});

async function innocentStillEchoes(): Promise<void> {
  const { stream } = innocent;
  stream.write("still here");
  const heard = await new Promise((resolve) => stream.once("data", resolve));
  expect(String(heard)).toBe("still here");
}

function take(incoming: IncomingStream): void {
  const { service } = incoming.open;
  if (service === "wait") return;
  const stream = incoming.accept(StreamAccept.create());
  if (service === "echo") stream.pipe(stream);
}

test("whatever a peer sends, its tunnel goes on or ends with a code, no other suffers, and no more is held than the credit", async () => {
  const ends = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), fc.nat(50), async (steps, cut) => {
      const [near, far] = duplexPair();
      const streams: TunnelStream[] = [];
      const tunnel = new Tunnel(near, {
        side: "router",
        software: "fuzzed",
        maxStreams: 4,
        onOpen: (incoming) => {
          if (incoming.open.service === "wait") return;
          const stream = incoming.accept(StreamAccept.create());
          streams.push(stream);
          if (incoming.open.service === "echo") stream.pipe(stream);
        },
      });
      const dialing = tunnel.openStream(dial).catch(() => undefined);
      const peer = new ScriptedPeer(far);
      peer.sendHello();
      await tunnel.hello;
      peer.sendOpen(1, "echo").sendOpen(3, "keep").sendOpen(5, "wait").sendOpen(7, "echo").sendOpen(9, "one too many");
      const bytes = Buffer.concat(steps.map(fuzzBytes));
      // In two pieces: a frame is cut anywhere.
      peer.send(bytes.subarray(0, cut), bytes.subarray(cut));
      await new Promise((resolve) => setImmediate(resolve));
      expect(tunnel.streamCount).toBeLessThanOrEqual(4 + 1);
      for (const stream of streams) expect(stream.readableLength).toBeLessThanOrEqual(INITIAL_WINDOW_BYTES);
      peer.endCarrier();
      const { kind } = await tunnel.closed;
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
      expect(["ended", "violated", "goaway"]).toContain(kind);
      expect(tunnel.streamCount).toBe(0);
      for (const stream of streams)
        expect(stream.destroyed || stream.readableEnded || stream.readableLength > 0).toBe(true);
      await dialing;
      await innocentStillEchoes();
      peer.destroyCarrier();
    }),
    { numRuns: 400 },
  );
  // The steps are worth something: some break a rule, some do not.
  expect([...ends.keys()]).toStrictEqual(expect.arrayContaining(["ended", "violated"]));
});

/** What a user of a tunnel may do. */
type Act =
  | { readonly do: "open"; readonly from: "near" | "far" }
  | { readonly do: "write"; readonly stream: number; readonly bytes: number }
  | { readonly do: "end" | "reset" | "destroy" | "pause" | "resume"; readonly stream: number }
  | { readonly do: "wait" };

const anyAct: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constant("open" as const), from: fc.constantFrom("near" as const, "far" as const) }),
  fc.record({ do: fc.constant("write" as const), stream: fc.nat(7), bytes: fc.integer({ min: 0, max: 400_000 }) }),
  fc.record({
    do: fc.constantFrom("end" as const, "reset" as const, "destroy" as const, "pause" as const, "resume" as const),
    stream: fc.nat(7),
  }),
  fc.constant({ do: "wait" as const }),
);

test("whatever the users of two honest ends do, neither breaks a rule, and a stream that ends well is whole", async () => {
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyAct, { maxLength: 40 }), async (acts) => {
      const [one, other] = duplexPair();
      const all: TunnelStream[] = [];
      const sums = new Map<TunnelStream, { sent: number; arrived: Promise<number | null> }>();
      const adopt = (stream: TunnelStream): void => {
        all.push(stream);
        const arrived = buffer(stream).then(
          (bytes) => bytes.length,
          () => null,
        );
        sums.set(stream, { sent: 0, arrived });
      };
      const onOpen = (incoming: IncomingStream): void => adopt(incoming.accept(StreamAccept.create()));
      const near = new Tunnel(one, { side: "workload", software: "near", onOpen });
      const far = new Tunnel(other, { side: "router", software: "far", onOpen });
      const pairs: (readonly [TunnelStream, TunnelStream])[] = [];
      for (const act of acts) {
        if (act.do === "wait") await new Promise((resolve) => setImmediate(resolve));
        else if (act.do === "open") {
          const result = await (act.from === "near" ? near : far).openStream(dial);
          if (result.kind === "refused") continue;
          const accepted = all.at(-1);
          adopt(result.stream);
          if (accepted !== undefined) pairs.push([result.stream, accepted]);
        } else {
          const stream = all[act.stream];
          if (stream === undefined || stream.destroyed) continue;
          const sum = sums.get(stream);
          if (act.do === "write" && !stream.writableEnded && sum !== undefined) {
            stream.write(Buffer.alloc(act.bytes));
            sum.sent += act.bytes;
          } else if (act.do === "end") stream.end();
          else if (act.do === "reset") stream.reset(5);
          else if (act.do === "destroy") stream.destroy();
          else if (act.do === "pause") stream.pause();
          else if (act.do === "resume") stream.resume();
        }
      }
      for (const stream of all) stream.resume().end();
      for (const [opener, accepter] of pairs) {
        for (const [from, to] of [
          [opener, accepter],
          [accepter, opener],
        ] as const) {
          const arrived = await sums.get(to)?.arrived;
          if (arrived === null || arrived === undefined) continue;
          expect(arrived).toBe(sums.get(from)?.sent);
          whole += 1;
        }
      }
      await Promise.all([near.close(), far.close()]);
      expect([(await near.closed).kind, (await far.closed).kind]).not.toContain("violated");
      expect(near.streamCount + far.streamCount).toBe(0);
    }),
    { numRuns: 150 },
  );
  expect(whole).toBeGreaterThan(100);
});
