import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FrameDecoder } from "./frame-decoder.ts";
import { FrameError } from "./frame-error.ts";

interface Vector {
  readonly name: string;
  readonly bytes: string;
  readonly repeat?: number;
  readonly frames: readonly {
    readonly type: number;
    readonly flags: number;
    readonly streamId: number;
    readonly payload: string;
  }[];
  readonly error?: string;
}

const folder = new URL("../../../test/vectors/frame/", import.meta.url);
const vectors = ["valid.json", "invalid.json"].flatMap(
  (file) => JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Vector[],
); // Our own files.

test("there are vectors to check", () => {
  expect(vectors.length).toBeGreaterThan(25);
});

test.for(
  vectors.flatMap((vector) => [
    { vector, chunkBytes: 1 },
    { vector, chunkBytes: 11 },
    { vector, chunkBytes: 65_536 },
  ]),
)("$vector.name, in chunks of $chunkBytes", ({ vector, chunkBytes }) => {
  const padding = Buffer.alloc(vector.repeat ?? 0);
  const bytes = Buffer.concat([Buffer.from(vector.bytes, "hex"), padding]);
  const reported: Vector["frames"][number][] = [];
  const decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) => {
    reported.push({ type, flags, streamId, payload: chunk.toString("hex", start + 8, end) });
  });
  let error: string | undefined;
  try {
    for (let at = 0; at < bytes.length; at += chunkBytes) decoder.push(bytes.subarray(at, at + chunkBytes));
  } catch (thrown) {
    if (!(thrown instanceof FrameError)) throw thrown;
    error = thrown.code;
  }
  const last = vector.frames.at(-1);
  const expected =
    last === undefined
      ? []
      : [...vector.frames.slice(0, -1), { ...last, payload: last.payload + padding.toString("hex") }];
  expect(reported).toEqual(expected);
  expect(error).toBe(vector.error);
});
