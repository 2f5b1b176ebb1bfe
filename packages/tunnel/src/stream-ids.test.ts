import { expect, test } from "vitest";
import { StreamIds } from "./stream-ids.ts";

const invalid = expect.objectContaining({ code: "STREAM_ID_INVALID" });

test("each side counts in its own parity, from the first id", () => {
  const workload = new StreamIds("workload");
  const router = new StreamIds("router");
  expect([workload.next(), workload.next(), router.next(), router.next()]).toEqual([1, 3, 2, 4]);
});

test("the peer's ids are of its parity and only grow; gaps are its affair", () => {
  const ids = new StreamIds("router");
  ids.usePeer(1);
  ids.usePeer(101);
  for (const streamId of [101, 99, 1, 2, 102]) expect(() => ids.usePeer(streamId)).toThrow(invalid);
  ids.usePeer(0xffff_ffff);
});

test("an id counts as used up to the highest of its side", () => {
  const ids = new StreamIds("router");
  ids.usePeer(7);
  ids.next();
  for (const streamId of [1, 7, 2]) expect(() => ids.requireUsed(streamId)).not.toThrow();
  for (const streamId of [9, 4]) expect(() => ids.requireUsed(streamId)).toThrow(invalid);
});
