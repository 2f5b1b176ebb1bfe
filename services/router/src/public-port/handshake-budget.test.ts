import { expect, test } from "vitest";
import { HandshakeBudget } from "./handshake-budget.ts";

const never = new AbortController().signal;

test("a burst passes at once, the next waits its turn", async () => {
  const budget = new HandshakeBudget({ perSecond: 200, burst: 2, maxWaiting: 10 });
  const startedAt = performance.now();
  expect(await Promise.all([budget.take(never), budget.take(never), budget.take(never)])).toEqual([true, true, true]);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(4);
});

test("a full waiting room refuses at once", async () => {
  const budget = new HandshakeBudget({ perSecond: 0.001, burst: 1, maxWaiting: 1 });
  const deadline = new AbortController();
  expect(await budget.take(never)).toBe(true);
  const waiting = budget.take(deadline.signal);
  expect(await budget.take(never)).toBe(false);
  deadline.abort();
  expect(await waiting).toBe(false);
});

test("one that gave up does not hold those behind it", async () => {
  const budget = new HandshakeBudget({ perSecond: 50, burst: 1, maxWaiting: 10 });
  expect(await budget.take(never)).toBe(true);
  expect(await Promise.all([budget.take(AbortSignal.abort()), budget.take(never)])).toEqual([false, true]);
});
