import { duplexPair } from "node:stream";
import { FrameType, WireCode, encodeFrame, encodeReset } from "@sallyport/frame";
import { Refusal, StreamAccept, StreamOpen, HostAnnounce } from "@sallyport/proto/tunnel";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { IncomingStream } from "./incoming-stream.ts";
import { ScriptedPeer } from "./testing/scripted-peer.ts";
import { Tunnel } from "./tunnel.ts";
import type { TunnelOptions } from "./tunnel-options.ts";

const dial = StreamOpen.create({ service: "files" });

function tunnelAndPeer(options: Partial<TunnelOptions> = {}): { tunnel: Tunnel; peer: ScriptedPeer } {
  const [near, far] = duplexPair();
  return {
    tunnel: new Tunnel(near, { side: "workload", software: "test/1", ...options }),
    peer: new ScriptedPeer(far),
  };
}

test("a peer that never says hello is cut off in time", async () => {
  const { tunnel, peer } = tunnelAndPeer({ helloTimeoutMs: 30 });
  expect(await peer.goawayCode()).toBe(WireCode.protocol);
  await expect(tunnel.hello).rejects.toMatchObject({ code: "TUNNEL_ENDED" });
  await expect(tunnel.openStream(dial)).rejects.toMatchObject({ code: "TUNNEL_ENDED" });
});

test("a dial waits for the hello, and its signal ends that wait", async () => {
  const { tunnel, peer } = tunnelAndPeer();
  const giveUp = new AbortController();
  const given = tunnel.openStream(dial, { signal: giveUp.signal });
  giveUp.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  const kept = tunnel.openStream(dial);
  peer.sendHello();
  const { streamId } = await peer.next(FrameType.open);
  expect(streamId).toBe(1);
  peer.send(encodeFrame(FrameType.accept, 0, streamId));
  expect((await kept).kind).toBe("accepted");
  await tunnel.close();
});

test("an answer that comes after the dialer gave up is dropped, and the peer was told", async () => {
  const { tunnel, peer } = tunnelAndPeer();
  peer.sendHello();
  const giveUp = new AbortController();
  const dialing = tunnel.openStream(dial, { signal: giveUp.signal });
  await peer.next(FrameType.open);
  giveUp.abort(new Error("enough"));
  await expect(dialing).rejects.toThrow("enough");
  expect((await peer.next(FrameType.reset)).payload.readUInt32BE(0)).toBe(WireCode.cancelled);
  peer.send(
    encodeFrame(FrameType.accept, 0, 1),
    encodeFrame(FrameType.data, 0, 1, Buffer.from("late")),
    encodeReset(1, 5),
  );
  const next = tunnel.openStream(dial);
  expect((await peer.next(FrameType.open)).streamId).toBe(3);
  peer.send(encodeFrame(FrameType.refuse, 0, 3, Refusal.encode(Refusal.create({ code: "NO_HOST" })).finish()));
  expect(await next).toMatchObject({ kind: "refused", refusal: { code: "NO_HOST" } });
  await tunnel.close();
});

test("a reset instead of an answer is an error of the dial", async () => {
  const { tunnel, peer } = tunnelAndPeer();
  peer.sendHello();
  const dialing = tunnel.openStream(dial);
  await peer.next(FrameType.open);
  peer.send(encodeReset(1, WireCode.gone));
  await expect(dialing).rejects.toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.gone });
  await tunnel.close();
});

test("what does not fit a frame is refused here, not by the peer", async () => {
  const offered = Promise.withResolvers<IncomingStream>();
  const { tunnel, peer } = tunnelAndPeer({ onOpen: offered.resolve });
  peer.sendHello();
  await expect(tunnel.openStream({ ...dial, service: "x".repeat(5000) })).rejects.toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
  });
  const announce = {
    message: { $case: "hostAnnounce", value: HostAnnounce.create({ service: "x".repeat(20_000) }) },
  } as const;
  expect(() => tunnel.sendControl(announce)).toThrow(expect.objectContaining({ code: "PAYLOAD_TOO_LARGE" }));
  peer.sendOpen(2, "files");
  const incoming = await offered.promise;
  const huge = StreamAccept.create({ circuitId: "x".repeat(5000) });
  expect(() => incoming.accept(huge)).toThrow(expect.objectContaining({ code: "PAYLOAD_TOO_LARGE" }));
  incoming.accept(StreamAccept.create({ circuitId: "c" })).on("error", () => {});
  await peer.next(FrameType.accept);
  await tunnel.close();
});

test("a fault in the handler of incoming streams ends this tunnel, not the process", async () => {
  const { tunnel, peer } = tunnelAndPeer({
    onOpen: () => {
      throw new TypeError("a fault");
    },
  });
  peer.sendHello().sendOpen(2, "files");
  expect(await peer.goawayCode()).toBe(WireCode.internal);
  expect(await tunnel.closed).toMatchObject({ kind: "failed", cause: { message: "a fault" } });
});

test("a peer that opens more streams than it was told is refused, one stream at a time", async () => {
  const { tunnel, peer } = tunnelAndPeer({
    maxStreams: 2,
    onOpen: (incoming) => void incoming.accept(StreamAccept.create()),
  });
  peer.sendHello().sendOpen(2, "files").sendOpen(4, "files").sendOpen(6, "files");
  const refused = await peer.next(FrameType.refuse);
  expect(refused.streamId).toBe(6);
  expect(Refusal.decode(refused.payload).code).toBe("OVERLOADED");
  peer.send(encodeReset(4, WireCode.cancelled)).sendOpen(8, "files");
  expect((await peer.next(FrameType.accept)).streamId).toBe(8);
  expect(tunnel.streamCount).toBe(2);
  await tunnel.close();
});

test("an OPEN that crossed the goaway is refused as DRAINING", async () => {
  const { tunnel, peer } = tunnelAndPeer({
    onOpen: (incoming) => incoming.accept(StreamAccept.create()).on("error", () => {}),
  });
  peer.sendHello().sendOpen(2, "files");
  await peer.next(FrameType.accept);
  tunnel.drain();
  peer.sendOpen(4, "files");
  expect(Refusal.decode((await peer.next(FrameType.refuse)).payload).code).toBe("DRAINING");
  expect(tunnel.streamCount).toBe(1);
  peer.send(encodeReset(2, WireCode.cancelled));
  expect(await tunnel.closed).toEqual({ kind: "drained" });
});

test("a reset in the same bytes as the accept is an error of the stream, and not of the process", async () => {
  const { tunnel, peer } = tunnelAndPeer();
  peer.sendHello();
  const dialing = tunnel.openStream(dial);
  await peer.next(FrameType.open);
  peer.send(Buffer.concat([encodeFrame(FrameType.accept, 0, 1), encodeReset(1, WireCode.revoked)]));
  const result = await dialing;
  if (result.kind !== "accepted") throw new Error("The stream was refused.");
  await expect(result.stream.toArray()).rejects.toThrow();
  expect(result.stream.errored).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.revoked });
  await tunnel.close();
});

const anyFrame = fc
  .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.uint8Array({ minLength: 1, maxLength: 40 }))
  .map(([type, id, bytes]) => {
    const payload = {
      4: Buffer.from([0, 0, 0, 9]),
      5: undefined,
      6: Buffer.from([0, 0, 0, 5]),
      7: Buffer.alloc(8),
      8: Buffer.alloc(4),
    };
    const ofTunnel = type >= FrameType.ping;
    return encodeFrame(type, 0, ofTunnel ? 0 : id, type in payload ? payload[type as keyof typeof payload] : bytes); // `in` has just asked.
  });

test("whatever frames a peer sends, the tunnel goes on or ends with a code for it", async () => {
  const ends = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(anyFrame, { minLength: 1, maxLength: 12 }), async (frames) => {
      const { tunnel, peer } = tunnelAndPeer({
        onOpen: (incoming) =>
          incoming.open.service.length % 2 === 0 ? incoming.accept(StreamAccept.create()).resume() : undefined,
      });
      peer.sendHello().sendOpen(2, "even").sendOpen(4, "odd").send(Buffer.concat(frames)).endCarrier();
      const { kind } = await tunnel.closed;
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
      expect(["ended", "violated"]).toContain(kind);
      expect(tunnel.streamCount).toBe(0);
    }),
    { numRuns: 200 },
  );
  expect(ends.size).toBe(2);
});

test("a carrier that dies under an open stream is an error to its reader, never an end", async () => {
  const { tunnel, peer } = tunnelAndPeer();
  peer.sendHello();
  const dialing = tunnel.openStream(dial);
  await peer.next(FrameType.open);
  peer
    .send(encodeFrame(FrameType.accept, 0, 1), encodeFrame(FrameType.data, 0, 1, Buffer.from("half of an ans")))
    .endCarrier();
  const result = await dialing;
  if (result.kind !== "accepted") throw new Error("The stream was refused.");
  await expect(result.stream.toArray()).rejects.toMatchObject({ code: "TUNNEL_ENDED" });
});
