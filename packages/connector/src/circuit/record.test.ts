import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dataRunBytes,
  encodeEnd,
  encodeReset,
  maxDataBytes,
  RecordReader,
  writeDataRun,
  type RecordFault,
} from "./record.ts";

interface Read {
  readonly data: Buffer;
  readonly fault: RecordFault | undefined;
  readonly ended: boolean;
  readonly reset: number | undefined;
}

function encodeData(...pieces: readonly Uint8Array[]): Buffer {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const run = Buffer.alloc(dataRunBytes(bytes));
  writeDataRun(run, pieces, 0, bytes);
  return run;
}

function read(chunks: readonly Buffer[]): Read {
  const data: Buffer[] = [];
  let ended = false;
  let reset: number | undefined;
  const reader = new RecordReader({
    onData: (bytes) => data.push(bytes),
    onEnd: () => (ended = true),
    onReset: (code) => (reset = code),
  });
  let fault: RecordFault | undefined;
  for (const chunk of chunks) fault ??= reader.push(chunk);
  return { data: Buffer.concat(data), fault, ended, reset };
}

test("data comes out as it went in, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 })),
      fc.integer({ min: 1, max: 17 }),
      (writes, size) => {
        const sent = Buffer.concat(writes);
        const wire = Buffer.concat([...writes.map((bytes) => encodeData(bytes)), encodeEnd(sent.length)]);
        const chunks = Array.from({ length: Math.ceil(wire.length / size) }, (_, i) =>
          wire.subarray(i * size, (i + 1) * size),
        );
        expect(read(chunks)).toStrictEqual({ data: sent, fault: undefined, ended: true, reset: undefined });
      },
    ),
  );
});

test("pieces fill records to the brim, from wherever the run begins", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000, size: "max" }), { minLength: 1, maxLength: 5 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (pieces, share) => {
        const offset = Math.floor((pieces[0]?.length ?? 0) * share);
        const sent = Buffer.concat(pieces).subarray(offset);
        const run = Buffer.alloc(dataRunBytes(sent.length));
        writeDataRun(run, pieces, offset, sent.length);
        const sizes: number[] = [];
        const data: Buffer[] = [];
        const reader = new RecordReader({
          onData: (bytes) => void [data.push(bytes), sizes.push(bytes.length)],
          onEnd: () => undefined,
          onReset: () => undefined,
        });
        expect(reader.push(run)).toBeUndefined();
        expect(Buffer.concat(data).equals(sent)).toBe(true);
        expect(sizes.slice(0, -1).every((size) => size === maxDataBytes)).toBe(true);
      },
    ),
    { numRuns: 50 },
  );
});

test("a reset carries its code", () => {
  expect(read([encodeReset(9)])).toMatchObject({ reset: 9, fault: undefined });
});

test("a reset may follow an END: its sender gives up on the other direction", () => {
  expect(read([encodeData(Buffer.from("abc")), encodeEnd(3), encodeReset(9)])).toMatchObject({
    ended: true,
    reset: 9,
    fault: undefined,
  });
});

describe("a direction is not whole", () => {
  test("when its END counts other than what arrived", () => {
    expect(read([encodeData(Buffer.from("abc")), encodeEnd(4)])).toMatchObject({
      fault: "COUNT_MISMATCH",
      ended: false,
    });
  });
  test("when bytes follow its END", () => {
    expect(read([encodeEnd(0), Buffer.of(0)])).toMatchObject({ fault: "AFTER_END" });
    expect(read([encodeEnd(0), encodeEnd(0)])).toMatchObject({ fault: "AFTER_END" });
    expect(read([encodeEnd(0), encodeReset(9), Buffer.of(2)])).toMatchObject({ fault: "AFTER_END" });
  });
});

test.each([
  ["an unknown type", Buffer.of(3, 0, 0, 0), "TYPE_UNKNOWN"],
  ["an empty data record", Buffer.of(0, 0, 0, 0), "LENGTH_INVALID"],
  ["a data record over 65,535", Buffer.of(0, 1, 0, 0), "LENGTH_INVALID"],
  ["an END of another length", Buffer.of(1, 0, 0, 7), "LENGTH_INVALID"],
  ["a RESET of another length", Buffer.of(2, 0, 0, 8), "LENGTH_INVALID"],
])("%s is refused", (_, bytes, fault) => {
  expect(read([bytes])).toMatchObject({ fault });
});
