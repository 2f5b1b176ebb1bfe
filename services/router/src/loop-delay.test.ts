import { expect, test } from "vitest";
import { LoopDelay } from "./loop-delay.ts";

async function until(isSo: () => boolean, meanwhile: () => void): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error("not in time");
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test("a loop that cannot keep up is late on average, and on time again when it can", async () => {
  using delay = new LoopDelay();
  const busy = (): void => {
    const endsAt = performance.now() + 150;
    while (performance.now() < endsAt);
  };
  await until(() => delay.meanMs > 75, busy);
  expect(delay.p99Ms).toBeGreaterThanOrEqual(delay.meanMs);
  await until(
    () => delay.meanMs < 75,
    () => undefined,
  );
});
