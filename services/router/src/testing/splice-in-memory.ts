import { FrameDecoder, FrameType, encodeFrame, encodeWindow } from "@sallyport/frame";
import type { SpliceRun } from "@sallyport/testing";
import { Leg, type Outlet } from "../splice/leg.ts";
import { NaiveSplice } from "../splice/naive-splice.ts";
import { Splice } from "../splice/splice.ts";

const circuits = 8;
const framesPerRun = 8;

/**
 * From bytes that arrived to bytes that leave, without TLS and sockets: one source tunnel, eight circuits to two destinations, in runs of eight frames per
 * circuit, as bulk transfers arrive.
 */
export function spliceInMemory({ version, payloadBytes, rounds }: SpliceRun): { frames: number; cpuSeconds: number } {
  const splice = version === "splice" ? new Splice() : null;
  const relay = splice ?? new NaiveSplice();
  const source = outlet();
  const sinks = [outlet(), outlet()];
  const legs = Array.from({ length: circuits }, (_, index) => {
    const leg = new Leg(source, 1 + 2 * index);
    Leg.join(leg, new Leg(sinks[index % 2] ?? source, 2 + 2 * index));
    return leg;
  });
  const byId = new Map(legs.map((leg) => [leg.streamId, leg]));
  const chunk = Buffer.concat(
    legs.flatMap(({ streamId }) =>
      Array.from({ length: framesPerRun }, () => encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(payloadBytes))),
    ),
  );
  const decoder = new FrameDecoder((type, _flags, streamId, bytes, start, end) => {
    const leg = byId.get(streamId);
    if (leg !== undefined) relay.relay(leg, type, bytes, start, end);
  });
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) {
    // The splice writes into what it is given, as it may: the ids come back for the next round.
    for (const [index, leg] of legs.entries()) {
      for (let frame = 0; frame < framesPerRun; frame += 1) {
        chunk.writeUInt32BE(leg.streamId, (index * framesPerRun + frame) * (payloadBytes + 8) + 4);
      }
    }
    decoder.push(chunk);
    splice?.endBatch();
    for (const leg of legs) {
      const window = encodeWindow(leg.peer.streamId, framesPerRun * payloadBytes);
      relay.relay(leg.peer, FrameType.window, window, 0, window.length);
    }
    splice?.endBatch();
  }
  const { user, system } = process.cpuUsage(before);
  return { frames: rounds * circuits * framesPerRun, cpuSeconds: (user + system) / 1e6 };
}

function outlet(): Outlet & { bytes: number } {
  const sink = {
    bytes: 0,
    forward: (frames: Buffer) => void (sink.bytes += frames.length),
    writeFrame: (type: number, flags: number, streamId: number, payload?: Uint8Array) =>
      sink.forward(encodeFrame(type, flags, streamId, payload)),
    dropStream: () => undefined,
    flush: () => undefined,
  };
  return sink;
}
