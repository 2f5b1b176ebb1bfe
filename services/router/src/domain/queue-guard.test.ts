import { expect, test } from "vitest";
import { QueueGuard } from "./queue-guard.ts";

interface TestQueue {
  readonly queuedBytes: number;
  ended: boolean;
  overflow(): void;
}

function queues(...bytes: readonly number[]): readonly TestQueue[] {
  return bytes.map((queuedBytes) => {
    const queue: TestQueue = { queuedBytes, ended: false, overflow: () => (queue.ended = true) };
    return queue;
  });
}

test("within the bound nobody is ended", () => {
  const waiting = queues(50, 50);
  using guard = new QueueGuard(() => waiting, 100);
  guard.look();
  expect(waiting.map(({ ended }) => ended)).toEqual([false, false]);
});

test("above the bound those who wait with most are ended, and only as many as needed", () => {
  const waiting = queues(10, 60, 20, 50);
  using guard = new QueueGuard(() => waiting, 35);
  guard.look();
  expect(waiting.map(({ ended }) => ended)).toEqual([false, true, false, true]);
});
