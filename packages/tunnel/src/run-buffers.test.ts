import { expect, test } from "vitest";
import { RUN_BYTES, RunBuffers } from "./run-buffers.ts";

test("memory that came back is lent again, and only once", () => {
  const buffers = new RunBuffers();
  const first = buffers.take(RUN_BYTES);
  buffers.giveBack(first);
  buffers.giveBack(first);
  const second = buffers.take(20_000);
  const third = buffers.take(20_000);
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(first.buffer);
});

test("memory of others is never taken in", () => {
  const buffers = new RunBuffers();
  const foreign = Buffer.alloc(RUN_BYTES);
  buffers.giveBack(foreign);
  expect(buffers.take(RUN_BYTES).buffer).not.toBe(foreign.buffer);
});

test("what is lent fits the frames, and a small run is not worth a whole buffer", () => {
  const buffers = new RunBuffers();
  expect(buffers.take(RUN_BYTES)).toHaveLength(RUN_BYTES);
  const small = buffers.take(100);
  expect(small).toHaveLength(100);
  buffers.giveBack(small);
  expect(buffers.take(RUN_BYTES).buffer).not.toBe(small.buffer);
});
