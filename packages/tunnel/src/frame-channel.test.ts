import { type Duplex, duplexPair } from "node:stream";
import { FrameError, FrameType, WireCode, encodeFrame, encodePing, streamIdAt } from "@sallyport/frame";
import { expect, test } from "vitest";
import type { ChannelEnd } from "./channel-end.ts";
import { FrameChannel } from "./frame-channel.ts";
import type { FrameChannelOptions } from "./frame-channel-options.ts";
import type { FrameHandler } from "./frame-handler.ts";
import { ScriptedPeer } from "./testing/scripted-peer.ts";

const inert: FrameHandler = { onFrame: () => {}, onBatchEnd: () => {}, onEnd: () => {} };
const data = (streamId: number, bytes: number): Buffer => encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(bytes));

function channelAndPeer(
  handler: Partial<FrameHandler> = {},
  options: FrameChannelOptions = {},
): { channel: FrameChannel; peer: ScriptedPeer; carrier: Duplex } {
  const [near, far] = duplexPair({ highWaterMark: 16_384 });
  const peer = new ScriptedPeer(far);
  return { channel: new FrameChannel(near, { ...inert, ...handler }, options), peer, carrier: near };
}

test("frames forwarded in one turn leave in one write, in order", async () => {
  const [near, far] = duplexPair();
  const writes: number[] = [];
  const write = near._write.bind(near);
  near._write = (chunk: Buffer, encoding, done) => {
    writes.push(chunk.length);
    write(chunk, encoding, done);
  };
  near._writev = (chunks, done) => {
    writes.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0)); // Buffers are all that is ever written here.
    write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), "utf8", done);
  };
  const peer = new ScriptedPeer(far);
  const channel = new FrameChannel(near, inert);
  for (const id of [1, 3, 5]) channel.forward(data(id, 100));
  expect(writes).toEqual([]);
  channel.flush();
  expect(writes).toEqual([324]);
  for (const id of [1, 3, 5]) expect((await peer.next(FrameType.data)).streamId).toBe(id);
  channel.writeFrame(FrameType.fin, 0, 7);
  expect((await peer.next(FrameType.fin)).streamId).toBe(7);
});

test("a handler may patch an id in the received chunk and forward that slice without a copy", async () => {
  const [outNear, outFar] = duplexPair();
  const out = new FrameChannel(outNear, inert);
  const outPeer = new ScriptedPeer(outFar);
  const { peer } = channelAndPeer({
    onFrame: (_type, _flags, streamId, chunk, start, end) => {
      chunk.writeUInt32BE(streamId + 100, start + 4);
      out.forward(chunk.subarray(start, end));
    },
    onBatchEnd: () => out.flush(),
  });
  peer.send(Buffer.concat([data(1, 10), data(3, 20)]));
  expect((await outPeer.next(FrameType.data)).streamId).toBe(101);
  expect((await outPeer.next(FrameType.data)).streamId).toBe(103);
});

test("a channel is congested from the high water on, and tells when it no longer is", async () => {
  let drained = 0;
  const { channel, peer } = channelAndPeer(
    { onDrain: () => (drained += 1) },
    { highWaterBytes: 400_000, batchBytes: 1 },
  );
  peer.stopReading();
  while (!channel.congested) channel.forward(data(1, 10_000));
  channel.flush();
  await new Promise(setImmediate);
  expect(channel.queuedBytes).toBeGreaterThan(200_000);
  expect(drained).toBe(0);
  peer.resumeReading();
  while (drained === 0) await peer.next(FrameType.data);
  expect(channel.congested).toBe(false);
  expect(drained).toBe(1);
});

test("dropping a stream takes its queued frames and no other's", async () => {
  const { channel, peer } = channelAndPeer({}, { batchBytes: 1 });
  peer.stopReading();
  channel.forward(Buffer.concat([data(9, 16_376), data(9, 16_376)]));
  channel.forward(data(9, 16_376));
  channel.flush();
  channel.forward(Buffer.concat([data(1, 100), data(3, 100), data(1, 100)]));
  channel.writeFrame(FrameType.fin, 0, 1);
  expect(channel.dropStream(1)).toBe(108 + 108 + 8);
  channel.writeFrame(FrameType.reset, 0, 1, Buffer.from([0, 0, 0, WireCode.revoked]));
  peer.resumeReading();
  for (let sent = 0; sent < 3; sent += 1) await peer.next(FrameType.data);
  expect((await peer.next(FrameType.data)).streamId).toBe(3);
  expect((await peer.next(FrameType.reset)).streamId).toBe(1);
});

test("more bytes than the limit for a peer that does not read end its channel, not the process", async () => {
  const { channel, peer } = channelAndPeer({}, { maxQueuedBytes: 1_000_000 });
  peer.stopReading();
  for (let sent = 0; sent < 100; sent += 1) channel.forward(data(1, 16_376));
  const end = await channel.end;
  expect(end.kind).toBe("overflowed");
  expect(channel.queuedBytes).toBeLessThan(200_000);
});

test("the owner never hears of the end from inside its own call", async () => {
  let ended: ChannelEnd | null = null;
  const { channel } = channelAndPeer({ onEnd: (end) => (ended = end) });
  channel.abort(WireCode.revoked);
  expect(ended).toBeNull();
  channel.writeFrame(FrameType.fin, 0, 1);
  channel.close();
  expect(await channel.end).toEqual({ kind: "aborted", code: WireCode.revoked });
  expect(ended).toEqual({ kind: "aborted", code: WireCode.revoked });
});

test("however much goes wrong after it, an end is told once", async () => {
  const ends: string[] = [];
  const { channel, peer, carrier } = channelAndPeer({ onEnd: ({ kind }) => ends.push(kind) });
  channel.abort(WireCode.revoked);
  channel.violate(new FrameError("CREDIT_EXCEEDED", "too much"));
  peer.endCarrier();
  carrier.destroy(new Error("and the network too"));
  await channel.end;
  await new Promise(setImmediate);
  expect(ends).toEqual(["aborted"]);
});

test("an abort says why, without the bytes that were queued", async () => {
  const { channel, peer } = channelAndPeer();
  channel.forward(data(1, 10_000));
  channel.abort(WireCode.expired);
  expect(await peer.goawayCode()).toBe(WireCode.expired);
});

test("an owner that aborts within a frame hears of no other frame of the chunk", async () => {
  let frames = 0;
  const { channel, peer } = channelAndPeer({
    onFrame: () => {
      frames += 1;
      channel.abort(WireCode.revoked);
    },
  });
  peer.send(Buffer.concat([data(1, 1), data(1, 1), encodeFrame(FrameType.goaway, 0, 0, Buffer.from([0, 0, 0, 1]))]));
  expect(await channel.end).toEqual({ kind: "aborted", code: WireCode.revoked });
  expect(frames).toBe(1);
});

test("a small frame that waits in a congested channel keeps nothing of the chunk that it came in", async () => {
  const { channel, peer } = channelAndPeer({}, { highWaterBytes: 100_000 });
  peer.stopReading();
  while (!channel.congested) channel.forward(data(1, 16_376));
  const chunk = Buffer.alloc(65_536);
  encodeFrame(FrameType.data, 0, 3, Buffer.from("small")).copy(chunk);
  channel.forward(chunk.subarray(0, 13));
  chunk.fill(0xff);
  peer.resumeReading();
  for (;;) {
    const frame = await peer.next(FrameType.data);
    if (frame.streamId === 1) continue;
    expect(frame).toMatchObject({ streamId: 3, payload: Buffer.from("small") });
    break;
  }
});

/** The bytes of each write that the carrier got for what `fill` queued. */
async function batchesOf(fill: (channel: FrameChannel) => void): Promise<readonly number[]> {
  const [near, far] = duplexPair({ highWaterMark: 16_384 });
  const batches: number[] = [];
  near._writev = (chunks, done) => {
    batches.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0)); // Buffers are all that is ever written here.
    setImmediate(done);
  };
  near._write = (chunk: Buffer, _encoding, done) => {
    batches.push(chunk.length);
    setImmediate(done);
  };
  const channel = new FrameChannel(near, inert);
  fill(channel);
  while (channel.queuedBytes > 0) await new Promise(setImmediate);
  far.destroy();
  return batches;
}

test("a large frame begins a batch of its own once small ones put the batch out of step", async () => {
  const batches = await batchesOf((channel) => {
    channel.forward(data(1, 16_376));
    channel.forward(data(1, 16_376));
    channel.writeFrame(FrameType.fin, 0, 3);
    channel.writeFrame(FrameType.fin, 0, 5);
    channel.forward(data(1, 16_376));
  });
  expect(batches).toEqual([2 * 16_384 + 2 * 8, 16_384]);
});

test("runs of small frames leave in one batch, whatever is between them", async () => {
  const run = Buffer.concat(Array.from({ length: 15 }, () => data(1, 1_024)));
  const batches = await batchesOf((channel) => {
    channel.forward(data(1, 1_024));
    channel.forward(run);
    channel.forward(data(1, 1_024));
    channel.forward(run);
  });
  expect(batches).toEqual([2 * 1_032 + 2 * run.length]);
});

test("a close sends what is queued first", async () => {
  const { channel, peer } = channelAndPeer({}, { batchBytes: 1 });
  for (let id = 1; id < 100; id += 2) channel.forward(data(id, 5000));
  channel.close();
  for (let id = 1; id < 100; id += 2) expect((await peer.next(FrameType.data)).streamId).toBe(id);
  expect(await channel.end).toEqual({ kind: "closed" });
});

test("a close that the peer does not let finish ends by its grace", async () => {
  const { channel, peer } = channelAndPeer({}, { closeGraceMs: 50 });
  peer.stopReading();
  for (let sent = 0; sent < 50; sent += 1) channel.forward(data(1, 16_376));
  channel.close();
  expect(await channel.end).toEqual({ kind: "closed" });
});

test("what the handler throws ends this channel: its code for a FrameError, internal for a fault", async () => {
  for (const [thrown, code] of [
    [new FrameError("CREDIT_EXCEEDED", "too much"), WireCode.flowControl],
    [new TypeError("a fault"), WireCode.internal],
  ] as const) {
    let frames = 0;
    const { channel, peer } = channelAndPeer({
      onFrame: () => {
        frames += 1;
        throw thrown;
      },
    });
    peer.send(Buffer.concat([data(1, 1), data(1, 1)]));
    expect(await peer.goawayCode()).toBe(code);
    expect((await channel.end).kind).toBe(thrown instanceof FrameError ? "violated" : "failed");
    expect(frames).toBe(1);
  }
});

test("an idle side pings, and the peer's answer is the round trip", async () => {
  const { channel, peer } = channelAndPeer({}, { pingIntervalMs: 20, deadAfterMs: 5000 });
  await peer.next(FrameType.ping);
  await peer.next(FrameType.ping);
  await peer.next(FrameType.ping);
  expect(channel.roundTripMs).toBeGreaterThanOrEqual(0);
  channel.abort(0);
});

test("a ping is answered with its own bytes, ahead of everything queued", async () => {
  const { channel, peer } = channelAndPeer({
    onFrame: () => {
      for (let sent = 0; sent < 20; sent += 1) channel.forward(data(7, 16_376));
    },
  });
  peer.send(Buffer.concat([data(1, 1), encodePing(Buffer.from("12345678"), false)]));
  const answer = await peer.next(FrameType.ping);
  expect(answer).toMatchObject({ flags: 1, payload: Buffer.from("12345678") });
  for (let sent = 0; sent < 20; sent += 1) await peer.next(FrameType.data);
});

test("a silent peer is dead within a tick of deadAfterMs, after being asked", async () => {
  const { channel, peer } = channelAndPeer({}, { pingIntervalMs: 100, deadAfterMs: 300 });
  peer.ignorePings();
  const end = await channel.end;
  const silentMs = end.kind === "silent" ? end.silentMs : 0;
  expect(silentMs).toBeGreaterThan(250);
  expect(silentMs).toBeLessThan(250 + 100 + 10);
  expect(peer.pings).toBeGreaterThan(1);
});

test("a process that slept does not take its peer for dead", async () => {
  const { channel, peer } = channelAndPeer({}, { pingIntervalMs: 100, deadAfterMs: 300 });
  await peer.next(FrameType.ping);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600); // The whole event loop stands still.
  await peer.next(FrameType.ping);
  await peer.next(FrameType.ping);
  expect(await Promise.race([channel.end, Promise.resolve("alive")])).toBe("alive");
  channel.abort(0);
});

test("a peer that sends anything is alive, also without answering pings", async () => {
  const { channel, peer } = channelAndPeer({}, { pingIntervalMs: 100, deadAfterMs: 300 });
  peer.ignorePings();
  const frame = data(1, 1);
  let sent = 0;
  const timer = setInterval(() => peer.send(frame.subarray(sent % 9, (sent++ % 9) + 1)), 10); // One byte at a time.
  for (let pings = 0; pings < 8; pings += 1) await peer.next(FrameType.ping);
  clearInterval(timer);
  expect(await Promise.race([channel.end, Promise.resolve("alive")])).toBe("alive");
  channel.abort(0);
});

test("a peer that sends but takes nothing is stalled", async () => {
  const { channel, peer } = channelAndPeer({}, { pingIntervalMs: 20, deadAfterMs: 5000, stalledAfterMs: 60 });
  peer.stopReading();
  for (let sent = 0; sent < 20; sent += 1) channel.forward(data(1, 16_376));
  expect((await channel.end).kind).toBe("stalled");
});

test("a carrier that ends between two frames is ended, inside a frame a violation, by failure failed", async () => {
  const whole = channelAndPeer();
  whole.peer.send(data(1, 1)).endCarrier();
  expect(await whole.channel.end).toEqual({ kind: "ended" });

  const cut = channelAndPeer();
  cut.peer.send(data(1, 100).subarray(0, 50)).endCarrier();
  expect(await cut.channel.end).toMatchObject({ kind: "violated", error: { code: "FRAME_TRUNCATED" } });

  const failing = channelAndPeer();
  failing.carrier.destroy(new Error("reset by the network"));
  expect(await failing.channel.end).toMatchObject({ kind: "failed", cause: { message: "reset by the network" } });

  const [gone] = duplexPair();
  gone.destroy();
  expect((await new FrameChannel(gone, inert).end).kind).toBe("failed");
});

test("a paused channel reads nothing, a resumed one all of it", async () => {
  const ids: number[] = [];
  const { channel, peer } = channelAndPeer({
    onFrame: (_type, _flags, _streamId, chunk, start) => ids.push(streamIdAt(chunk, start)),
  });
  channel.pause();
  peer.send(data(1, 1), data(3, 1));
  await new Promise(setImmediate);
  expect(ids).toEqual([]);
  channel.resume();
  peer.send(encodePing(Buffer.alloc(8), false));
  await peer.next(FrameType.ping);
  expect(ids).toEqual([1, 3]);
});
