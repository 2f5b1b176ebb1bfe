import { expect, test } from "vitest";
import { RateLimiter } from "./rate-limiter.ts";

test("lets a burst through, then so many a second, and counts what it refused", () => {
  let now = 0;
  const limiter = new RateLimiter({ perSecond: 10, burst: 3, now: () => now });
  const passed = (attempts: number): number =>
    Array.from({ length: attempts }, () => limiter.take()).filter(Boolean).length;
  expect(passed(5)).toBe(3);
  now = 250;
  expect(passed(5)).toBe(2);
  now = 1_000_000;
  expect(passed(5)).toBe(3);
  expect(limiter.drainRefused()).toBe(7);
  expect(limiter.drainRefused()).toBe(0);
});
