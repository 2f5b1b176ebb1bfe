/** `node --conditions=sallyport-source packages/frame/src/frame-decoder.bench.ts`: the decoder against its naive version, which is also its oracle. */
import { encodeFrame } from "./encode-frame.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { FrameType, PING_ACK } from "./frame-type.ts";
import { NaiveFrameDecoder } from "./naive-frame-decoder.ts";

interface Decoder {
  push(chunk: Buffer): unknown;
}

interface Traffic {
  readonly name: string;
  readonly chunks: readonly Buffer[];
  readonly frames: number;
}

function traffic(name: string, payloadBytes: number, chunkBytes: number): Traffic {
  const data = encodeFrame(FrameType.data, 0, 1, Buffer.alloc(payloadBytes, 7));
  const frames = Math.ceil(8_000_000 / data.length);
  const stream = Buffer.concat(Array.from({ length: frames }, () => data));
  const chunks: Buffer[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes) chunks.push(stream.subarray(at, at + chunkBytes));
  return { name, chunks, frames };
}

function nsPerFrame(create: () => Decoder, { chunks, frames }: Traffic): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 7; round += 1) {
    const decoder = create();
    const began = process.hrtime.bigint();
    for (const chunk of chunks) decoder.push(chunk);
    best = Math.min(best, Number(process.hrtime.bigint() - began) / frames);
  }
  return best;
}

let flags = 0;
const subjects: Readonly<Record<string, () => Decoder>> = {
  decoder: () =>
    new FrameDecoder((_type, frameFlags) => {
      flags |= frameFlags;
    }),
  naive: () => new NaiveFrameDecoder(),
};
for (const each of [
  traffic("full frames, one to a chunk", 16_376, 16_384),
  traffic("full frames, each cut in two", 16_376, 16_000),
  traffic("frames of 64 bytes, 64 KiB chunks", 56, 65_536),
]) {
  for (const [subject, create] of Object.entries(subjects)) {
    process.stdout.write(`${each.name}: ${subject} ${nsPerFrame(create, each).toFixed(0)} ns/frame\n`);
  }
}
if (flags === PING_ACK) throw new Error("DATA cannot be an answered PING."); // So that no engine drops the work.
