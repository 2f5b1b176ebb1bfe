import fc from "fast-check";
import { expect, test } from "vitest";
import {
  dataRunBytes,
  encodeDataRun,
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeWindow,
} from "./encode-frame.ts";
import { FrameType } from "./frame-type.ts";
import { MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, patchStreamId, streamIdAt } from "./header.ts";
import { NaiveFrameDecoder } from "./naive-frame-decoder.ts";

test("a run of DATA carries any cut of any pieces in full frames of its stream", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000, size: "max" }), { minLength: 1, maxLength: 5 }),
      fc.nat(),
      fc.nat(),
      (pieces, from, size) => {
        const all = Buffer.concat(pieces);
        const offset = from % (pieces[0]?.length ?? 1);
        const payloadBytes = 1 + (size % (all.length - offset));
        const run = encodeDataRun(7, pieces, offset, payloadBytes);
        const { frames, error } = new NaiveFrameDecoder().push(run);
        expect(error).toBeNull();
        expect(run).toHaveLength(dataRunBytes(payloadBytes));
        expect(
          Buffer.concat(frames.map((frame) => frame.payload)).equals(all.subarray(offset, offset + payloadBytes)),
        ).toBe(true);
        expect(frames.every((frame) => frame.type === FrameType.data && frame.streamId === 7)).toBe(true);
        expect(frames.slice(0, -1).every((frame) => frame.payload.length === MAX_PAYLOAD_BYTES)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test("a run larger than its pieces, or a payload larger than a frame, is a fault of the caller", () => {
  expect(() => encodeDataRun(1, [Buffer.alloc(3)], 1, 3)).toThrow(RangeError);
  expect(() => encodeFrame(FrameType.data, 0, 1, Buffer.alloc(MAX_PAYLOAD_BYTES + 1))).toThrow(RangeError);
  expect(encodeFrame(FrameType.data, 0, 1, Buffer.alloc(MAX_PAYLOAD_BYTES))).toHaveLength(MAX_FRAME_BYTES);
});

test("the small frames have the bytes of the spec", () => {
  expect(encodeWindow(0x01020304, 0x00020000).toString("hex")).toBe("000404000102030400020000");
  expect(encodeReset(0xffff_fffe, 6).toString("hex")).toBe("00040600fffffffe00000006");
  expect(encodeGoaway(0).toString("hex")).toBe("000408000000000000000000");
  expect(encodePing(Buffer.from("0001020304050607", "hex"), true).toString("hex")).toBe(
    "00080701000000000001020304050607",
  );
  expect(encodeFrame(FrameType.fin, 0, 3).toString("hex")).toBe("0000050000000003");
});

test("patching the id changes these four bytes and nothing else, for every id", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), fc.integer({ min: 1, max: 0xffff_ffff }), (from, to) => {
      const frame = encodeFrame(FrameType.data, 0, from, Buffer.from("payload"));
      patchStreamId(frame, 0, to);
      expect(streamIdAt(frame, 0)).toBe(to);
      expect(frame.equals(encodeFrame(FrameType.data, 0, to, Buffer.from("payload")))).toBe(true);
    }),
  );
});
