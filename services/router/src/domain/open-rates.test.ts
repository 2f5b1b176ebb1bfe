import { expect, test } from "vitest";
import { OpenRates } from "./open-rates.ts";

const limits = { opensPerSecondPerIdentity: 10, openBurstPerIdentity: 3 };

test("opensPerSecondPerIdentity, openBurstPerIdentity: an identity has its own rate, whatever others do", () => {
  let now = 0;
  const rates = new OpenRates(limits, () => now);
  expect(Array.from({ length: 4 }, () => rates.take("a"))).toEqual([true, true, true, false]);
  expect(rates.take("b")).toBe(true);
  now += 100;
  expect([rates.take("a"), rates.take("a")]).toEqual([true, false]);
});

test("identities that are at rest are forgotten, and those that are not keep their rate", () => {
  let now = 0;
  const rates = new OpenRates(limits, () => now);
  for (let i = 0; i < 1_023; i += 1) rates.take(`${i}`);
  now += 1_000;
  for (let i = 0; i < 3; i += 1) rates.take("busy");
  rates.take("next");
  expect(rates.size).toBe(2);
  expect(rates.take("busy")).toBe(false);
});
