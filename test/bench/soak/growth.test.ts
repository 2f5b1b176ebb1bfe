import { expect, test } from "vitest";
import { growthOf, type Sample } from "./growth.ts";

function samples(residentKib: (minute: number) => number, descriptors: (minute: number) => number): readonly Sample[] {
  return Array.from({ length: 150 }, (_, index) => {
    const minute = index / 6;
    return { atMs: minute * 60_000, residentKib: residentKib(minute), descriptors: descriptors(minute) };
  });
}

test("a process that breathes does not grow", () => {
  const flat = growthOf(
    samples(
      (minute) => 100_000 + (minute % 3) * 5_000,
      (minute) => 40 + (minute % 2),
    ),
  );
  expect(flat.grows).toBe(false);
  expect(Math.abs(flat.kibPerMinute)).toBeLessThan(50);
});

test("a leak of two megabytes a minute is growth, and so is one of a descriptor a minute", () => {
  const memory = growthOf(
    samples(
      (minute) => 100_000 + minute * 2_048,
      () => 40,
    ),
  );
  expect(memory.grows).toBe(true);
  expect(memory.kibPerMinute).toBeCloseTo(2_048);
  const descriptors = growthOf(
    samples(
      () => 100_000,
      (minute) => 40 + minute,
    ),
  );
  expect(descriptors.grows).toBe(true);
});
