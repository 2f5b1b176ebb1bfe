import { setTimeout as delay } from "node:timers/promises";

const firstMs = 100;
/** A router may be back at any moment. */
const maxMs = 5_000;

/** Waits before attempt number `failures + 1`: full jitter, so that a router's return is not everybody's reconnection at once. */
export async function backOff(
  failures: number,
  signal: AbortSignal,
  options: { readonly maxMs?: number } = {},
): Promise<void> {
  const ceilingMs = Math.min(options.maxMs ?? maxMs, firstMs * 2 ** Math.min(failures, 16));
  await delay(ceilingMs * (0.25 + 0.75 * Math.random()), undefined, { signal });
}
