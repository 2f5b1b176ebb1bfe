/**
 * What the splice costs beside its plain version, without TLS and sockets: `node --conditions=sallyport-source src/splice/splice.bench.ts`.
 * One source tunnel, eight circuits to two destinations, in runs of eight frames per circuit, as bulk transfers arrive.
 */
import { FrameDecoder, FrameType, encodeFrame, encodeWindow } from "@sallyport/frame";
import { Leg, type Outlet } from "./leg.ts";
import { NaiveSplice } from "./naive-splice.ts";
import { Splice } from "./splice.ts";

const rounds = 4_000;
const circuits = 8;
const framesPerRun = 8;

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

function run(
  name: string,
  relay: Pick<Splice, "relay"> & Partial<Pick<Splice, "endBatch">>,
  payloadBytes: number,
): void {
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
  const startedAt = process.hrtime.bigint();
  for (let round = 0; round < rounds; round += 1) {
    // The splice writes into what it is given, as it may: the ids come back for the next round.
    for (const [index, leg] of legs.entries()) {
      for (let frame = 0; frame < framesPerRun; frame += 1) {
        chunk.writeUInt32BE(leg.streamId, (index * framesPerRun + frame) * (payloadBytes + 8) + 4);
      }
    }
    decoder.push(chunk);
    relay.endBatch?.();
    for (const leg of legs) {
      const window = encodeWindow(leg.peer.streamId, framesPerRun * payloadBytes);
      relay.relay(leg.peer, FrameType.window, window, 0, window.length);
    }
    relay.endBatch?.();
  }
  const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
  const frames = rounds * circuits * framesPerRun;
  const gigabytes = (frames * payloadBytes) / 1e9;
  process.stdout.write(
    `${name.padEnd(6)} ${String(payloadBytes).padStart(6)} B payload: ${((ms * 1e6) / frames).toFixed(0)} ns per frame, ${(ms / 1e3 / gigabytes).toFixed(3)} s per GB\n`,
  );
}

for (const payloadBytes of [256, 4_000, 16_376]) {
  for (const [name, relay] of [
    ["splice", new Splice()],
    ["plain", new NaiveSplice()],
  ] as const)
    run(name, relay, payloadBytes);
}
