import { setTimeout as pause } from "node:timers/promises";

/** The first answer of `probe` that is not undefined. A probe that throws is asked again. Throws when there is none within `withinMs`. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    let failure: unknown;
    try {
      const found = await probe();
      if (found !== undefined) return found;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`, { cause: failure });
    await pause(25);
  }
}
