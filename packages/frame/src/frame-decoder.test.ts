import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame } from "./encode-frame.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { FrameError } from "./frame-error.ts";
import { FrameType } from "./frame-type.ts";
import { MAX_PAYLOAD_BYTES, setHeader } from "./header.ts";
import { type NaiveFrame, NaiveFrameDecoder } from "./naive-frame-decoder.ts";

interface Outcome {
  readonly frames: readonly NaiveFrame[];
  readonly error: unknown;
}

function decode(chunks: readonly Buffer[]): Outcome {
  const frames: NaiveFrame[] = [];
  const decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) => {
    frames.push({ type, flags, streamId, payload: Buffer.from(chunk.subarray(start + 8, end)) });
  });
  try {
    for (const chunk of chunks) decoder.push(chunk);
  } catch (error) {
    return { frames, error };
  }
  return { frames, error: null };
}

function decodeNaively(chunks: readonly Buffer[]): Outcome {
  const decoder = new NaiveFrameDecoder();
  const frames: NaiveFrame[] = [];
  for (const chunk of chunks) {
    const outcome = decoder.push(chunk);
    frames.push(...outcome.frames);
    if (outcome.error !== null) return { frames, error: outcome.error };
  }
  return { frames, error: null };
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((each) => each % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const streamId = fc.integer({ min: 1, max: 0xffff_ffff });
const fixed = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({ minLength, maxLength: 40 }),
    fc.uint8Array({ minLength: maxLength, maxLength, size: "max" }),
  );
const goodFrame: fc.Arbitrary<Buffer> = fc.oneof(
  fc.tuple(streamId, bytes(1, MAX_PAYLOAD_BYTES)).map(([id, payload]) => encodeFrame(FrameType.data, 0, id, payload)),
  fc
    .tuple(fc.constantFrom(1, 2, 3), streamId, bytes(0, 4096))
    .map(([type, id, payload]) => encodeFrame(type, 0, id, payload)),
  fc.tuple(fc.constantFrom(4, 6), streamId, fixed(4)).map(([type, id, payload]) => encodeFrame(type, 0, id, payload)),
  streamId.map((id) => encodeFrame(FrameType.fin, 0, id)),
  fc.tuple(fc.constantFrom(0, 1), fixed(8)).map(([flags, payload]) => encodeFrame(FrameType.ping, flags, 0, payload)),
  fixed(4).map((payload) => encodeFrame(FrameType.goaway, 0, 0, payload)),
  bytes(0, 60).map((payload) => encodeFrame(FrameType.control, 0, 0, payload)),
);
const cuts = fc.array(fc.nat(), { maxLength: 12 });

test("frames cut anywhere come out as the naive decoder has them", () => {
  fc.assert(
    fc.property(fc.array(goodFrame, { maxLength: 12 }), cuts, (frames, at) => {
      const chunks = cut(Buffer.concat(frames), at);
      const outcome = decode(chunks);
      expect(outcome).toEqual(decodeNaively(chunks));
      expect(outcome.error).toBeNull();
      expect(outcome.frames).toHaveLength(frames.length);
    }),
    { numRuns: 300 },
  );
});

test("frames with flipped bytes stop both decoders at the same frame with the same code", () => {
  let stopped = 0;
  fc.assert(
    fc.property(
      fc.array(goodFrame, { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      cuts,
      (frames, flips, at) => {
        const stream = Buffer.concat(frames);
        for (const [where, value] of flips) stream[where % Math.min(stream.length, 64)] = value;
        const chunks = cut(stream, at);
        const outcome = decode(chunks);
        const expected = decodeNaively(chunks);
        expect(outcome.frames).toEqual(expected.frames);
        expect(codeOf(outcome.error)).toBe(codeOf(expected.error));
        if (outcome.error !== null) stopped += 1;
      },
    ),
    { numRuns: 500 },
  );
  expect(stopped).toBeGreaterThan(100);
});

test("any bytes at all end in frames or in a FrameError", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
      const outcome = decode(chunks.map((chunk) => Buffer.from(chunk)));
      expect(outcome.error === null || outcome.error instanceof FrameError).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("a whole frame is reported inside the chunk it came in, also after a cut one", () => {
  const first = encodeFrame(FrameType.data, 0, 1, Buffer.from("first"));
  const second = encodeFrame(FrameType.data, 0, 3, Buffer.from("second"));
  const reported: Buffer[] = [];
  const decoder = new FrameDecoder((_type, _flags, _streamId, chunk) => reported.push(chunk));
  const tail = Buffer.concat([first.subarray(5), second]);
  decoder.push(first.subarray(0, 5));
  decoder.push(tail);
  expect(reported[0]).not.toBe(tail);
  expect(reported[0]).toHaveLength(first.length);
  expect(reported[1]).toBe(tail);
});

test("a frame put together from pieces is not overwritten by the next one", () => {
  const frames = ["one", "two"].map((text) => encodeFrame(FrameType.data, 0, 1, Buffer.from(text)));
  const views: Buffer[] = [];
  const decoder = new FrameDecoder((_type, _flags, _streamId, chunk, start, end) =>
    views.push(chunk.subarray(start + 8, end)),
  );
  for (const frame of frames) for (const byte of frame) decoder.push(Buffer.from([byte]));
  expect(views.map(String)).toEqual(["one", "two"]);
});

test("a bad header is refused before its payload arrives", () => {
  const header = Buffer.alloc(8);
  setHeader(header, 0, 65_535, FrameType.data, 0, 1);
  expect(codeOf(decode([header]).error)).toBe("FRAME_LENGTH_INVALID");
  expect(codeOf(decode([header.subarray(0, 7), header.subarray(7)]).error)).toBe("FRAME_LENGTH_INVALID");
});

test("nothing is reported after an error or after stop", () => {
  const good = encodeFrame(FrameType.fin, 0, 1);
  const bad = encodeFrame(FrameType.data, 0, 0, Buffer.from("x"));
  const reported: number[] = [];
  const decoder = new FrameDecoder((type) => {
    reported.push(type);
  });
  expect(() => decoder.push(Buffer.concat([good, bad, good]))).toThrow(FrameError);
  decoder.push(good);
  expect(reported).toEqual([FrameType.fin]);

  const stopping: FrameDecoder = new FrameDecoder(() => {
    reported.push(99);
    stopping.stop();
  });
  stopping.push(Buffer.concat([good, good, good.subarray(0, 3)]));
  expect(reported).toEqual([FrameType.fin, 99]);
});

test("a carrier that ends inside a frame is truncated, one that ends between two is not", () => {
  const frame = encodeFrame(FrameType.fin, 0, 1);
  const decoder = new FrameDecoder(() => {});
  decoder.push(frame);
  expect(() => decoder.finish()).not.toThrow();
  decoder.push(frame.subarray(0, 1));
  expect(() => decoder.finish()).toThrow(expect.objectContaining({ code: "FRAME_TRUNCATED" }));
});

function codeOf(error: unknown): string | null {
  return error instanceof FrameError ? error.code : null;
}
