import { expect, test } from "vitest";
import { WatchQueue } from "./watch-queue.ts";

const never = new AbortController().signal;

test("what was pushed comes at once and in order, and an empty queue waits", async () => {
  const queue = new WatchQueue<number>(3);
  queue.push(1);
  queue.push(2);
  expect(await queue.take(never)).toEqual([1, 2]);
  const next = queue.take(never);
  queue.push(3);
  expect(await next).toEqual([3]);
});

test("maxWatchBacklog: one thing too many is an overflow, for good, and nothing is held after it", async () => {
  const queue = new WatchQueue<number>(2);
  for (const item of [1, 2, 3, 4]) queue.push(item);
  expect(await queue.take(never)).toBe("overflow");
  queue.push(5);
  expect(await queue.take(never)).toBe("overflow");
});

test("who waits is let go by the signal", async () => {
  const stop = new AbortController();
  const queue = new WatchQueue<number>(2);
  const next = queue.take(stop.signal);
  stop.abort();
  expect(await next).toBe(null);
  queue.push(1);
  expect(await queue.take(stop.signal)).toBe(null);
});
