import { expect, test } from "vitest";
import { HandshakeBudget } from "./handshake-budget.ts";

const never = new AbortController().signal;

test("handshakesPerSecond, handshakeBurst: a burst passes at once, the next waits its turn", async () => {
  const budget = new HandshakeBudget({ perSecond: 200, burst: 2, maxWaiting: 10 });
  const startedAt = performance.now();
  const taken = ["a", "a", "a"].map((source) => budget.take(source, never));
  expect(await Promise.all(taken)).toEqual([true, true, true]);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(4);
});

test("maxWaitingHandshakes: a full waiting room refuses at once", async () => {
  const budget = new HandshakeBudget({ perSecond: 0.001, burst: 1, maxWaiting: 1 });
  const deadline = new AbortController();
  expect(await budget.take("a", never)).toBe(true);
  const waiting = budget.take("a", deadline.signal);
  expect(await budget.take("a", never)).toBe(false);
  deadline.abort();
  expect(await waiting).toBe(false);
});

test("one that gave up does not hold those behind it", async () => {
  const budget = new HandshakeBudget({ perSecond: 50, burst: 1, maxWaiting: 10 });
  expect(await budget.take("a", never)).toBe(true);
  expect(await Promise.all([budget.take("a", AbortSignal.abort()), budget.take("a", never)])).toEqual([false, true]);
});

test("a source that floods does not make another one wait for its queue", async () => {
  const budget = new HandshakeBudget({ perSecond: 500, burst: 1, maxWaiting: 100 });
  const served: string[] = [];
  const take = (source: string): Promise<void> => budget.take(source, never).then(() => void served.push(source));
  await take("flood");
  const flood = Array.from({ length: 20 }, () => take("flood"));
  await Promise.all([take("quiet"), take("other")]);
  expect(served.filter((source) => source === "flood").length).toBeLessThanOrEqual(4);
  await Promise.all(flood);
});

test("a full waiting room is shared: a new source takes the place of the last of the largest", async () => {
  const budget = new HandshakeBudget({ perSecond: 0.001, burst: 1, maxWaiting: 4 });
  const deadline = new AbortController();
  await budget.take("flood", never);
  const flood = Array.from({ length: 4 }, () => budget.take("flood", deadline.signal));
  const quiet = [budget.take("quiet", deadline.signal), budget.take("quiet", deadline.signal)];
  expect(await flood[3]).toBe(false);
  expect(await flood[2]).toBe(false);
  expect(await budget.take("quiet", never)).toBe(false);
  deadline.abort();
  expect(await Promise.all([...flood.slice(0, 2), ...quiet])).toEqual([false, false, false, false]);
});
