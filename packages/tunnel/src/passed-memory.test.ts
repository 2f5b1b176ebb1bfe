import { expect, test } from "vitest";
import { PassedMemory } from "./passed-memory.ts";

function chunk(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes));
}

test("memory is freed when the last of its bytes has left, in whatever pieces", () => {
  const memory = new PassedMemory();
  const arrived = chunk(100);
  memory.arrived(arrived);
  memory.left(arrived.buffer, 60);
  memory.left(arrived.buffer, 39);
  expect(arrived.length).toBe(100);
  memory.left(arrived.buffer, 1);
  expect(arrived.buffer.byteLength).toBe(0);
});

test("who still holds a view of freed memory has an empty one", () => {
  const memory = new PassedMemory();
  const arrived = chunk(100);
  const view = arrived.subarray(10, 20);
  memory.arrived(arrived);
  memory.left(arrived.buffer, 100);
  expect(view.length).toBe(0);
});

test("memory that is shared with others, or did not arrive, is never freed", () => {
  const memory = new PassedMemory();
  const shared = chunk(100).subarray(0, 50);
  memory.arrived(shared);
  memory.left(shared.buffer, 100);
  const own = chunk(100);
  memory.left(own.buffer, 100);
  expect([shared.buffer.byteLength, own.length]).toEqual([100, 100]);
});
