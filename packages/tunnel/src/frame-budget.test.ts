import { FrameType } from "@sallyport/frame";
import { expect, test } from "vitest";
import { FrameBudget } from "./frame-budget.ts";

const rates = {
  open: { perSecond: 10, burst: 3 },
  control: { perSecond: 1, burst: 1 },
  ping: { perSecond: 1, burst: 1 },
  goaway: { perSecond: 1, burst: 1 },
};
const exceeded = expect.objectContaining({ code: "RATE_EXCEEDED", wireCode: 4 });

test("a burst passes, one more does not, and time brings the next", () => {
  const budget = new FrameBudget(rates, 1000);
  for (let taken = 0; taken < 3; taken += 1) budget.take(FrameType.open);
  expect(() => budget.take(FrameType.open)).toThrow(exceeded);
  budget.refill(1050);
  expect(() => budget.take(FrameType.open)).toThrow(exceeded);
  budget.refill(1100);
  budget.take(FrameType.open);
  expect(() => budget.take(FrameType.open)).toThrow(exceeded);
});

test("an hour of silence brings no more than the burst", () => {
  const budget = new FrameBudget(rates, 0);
  budget.refill(3_600_000);
  for (let taken = 0; taken < 3; taken += 1) budget.take(FrameType.open);
  expect(() => budget.take(FrameType.open)).toThrow(exceeded);
});

test("DATA, WINDOW and what ends streams cost nothing here", () => {
  const budget = new FrameBudget(rates, 0);
  for (let taken = 0; taken < 100_000; taken += 1)
    for (const type of [FrameType.data, FrameType.window, FrameType.fin, FrameType.reset]) budget.take(type);
});
