import { setTimeout as delay } from "node:timers/promises";

const rounds = 4;
const betweenMs = 250;

/** In a process that was started with `--expose-gc`; a few times, since what one collection frees may have held the next. */
export async function collectGarbage(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error("This process was not started with --expose-gc.");
  for (let round = 0; round < rounds; round += 1) {
    globalThis.gc();
    await delay(betweenMs);
  }
}
