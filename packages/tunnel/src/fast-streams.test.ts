import { INITIAL_WINDOW_BYTES } from "@sallyport/frame";
import { expect, test } from "vitest";
import { FastStreams, ReaderPace } from "./fast-streams.ts";

const mebibyte = 1_048_576;

/** A reader that took half a window twice within a moment. */
function quick(fast: FastStreams): ReaderPace {
  const pace = new ReaderPace(fast);
  pace.took(1_000);
  pace.took(1_001);
  return pace;
}

test("a quick reader's window widens to a mebibyte, a slow one's stays", () => {
  const fast = new FastStreams();
  expect(quick(fast).windowBytes).toBe(mebibyte);
  const slow = new ReaderPace(fast);
  expect([slow.took(1_000), slow.took(1_100), slow.took(1_200)]).toEqual(Array(3).fill(INITIAL_WINDOW_BYTES));
});

test("a reader that falls behind, and one that is over, give their share back", () => {
  const fast = new FastStreams();
  const [first, second, third, fourth] = [quick(fast), quick(fast), quick(fast), quick(fast)];
  expect(first.windowBytes).toBe(mebibyte / 2);
  expect(second.took(2_000)).toBe(INITIAL_WINDOW_BYTES);
  third.over();
  third.over();
  expect(first.windowBytes).toBe(mebibyte);
  fourth.over();
  first.over();
  expect(first.windowBytes).toBe(INITIAL_WINDOW_BYTES);
});

test("many quick readers have no more than the initial window each, so that what may be queued for a tunnel stays bounded", () => {
  const fast = new FastStreams();
  let beyond = 0;
  for (let streams = 1; streams <= 256; streams += 1) beyond += quick(fast).windowBytes - INITIAL_WINDOW_BYTES;
  expect(beyond).toBeLessThan(3 * mebibyte);
});

test("without anyone to share with the window stays the initial one", () => {
  const pace = new ReaderPace(undefined);
  pace.took(1_000);
  expect(pace.took(1_001)).toBe(INITIAL_WINDOW_BYTES);
});
