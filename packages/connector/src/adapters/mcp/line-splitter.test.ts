import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

test("lines come out byte for byte however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 })),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (lines, sizes) => {
        const sent = lines.map((line) => Buffer.from([...line.filter((byte) => byte !== 10), 10]));
        const stream = Buffer.concat(sent);
        const got: Buffer[] = [];
        const splitter = new LineSplitter((line) => got.push(line));
        for (let at = 0, i = 0; at < stream.length; i += 1) {
          const end = at + (sizes[i % sizes.length] ?? 1);
          expect(splitter.push(stream.subarray(at, end))).toBe(true);
          at = end;
        }
        expect(got).toStrictEqual(sent);
        expect(splitter.heldBytes).toBe(0);
      },
    ),
  );
});

test("a line over the cap ends the stream, whole or in parts, and is not kept in memory", () => {
  const lines: Buffer[] = [];
  expect(new LineSplitter((line) => lines.push(line), 8).push(Buffer.from("12345678\n"))).toBe(false);
  const parts = new LineSplitter((line) => lines.push(line), 8);
  expect(parts.push(Buffer.from("12345"))).toBe(true);
  expect(parts.push(Buffer.from("6789"))).toBe(false);
  expect(lines).toStrictEqual([]);
});

test("a line that comes byte by byte costs memory for its bytes, not for its pieces", () => {
  const splitter = new LineSplitter(() => undefined);
  const bytes = 3_000_000;
  const chunk = Buffer.alloc(bytes, 32);
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < bytes; at += 1) splitter.push(chunk.subarray(at, at + 1));
  expect(splitter.heldBytes).toBe(bytes);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
});
