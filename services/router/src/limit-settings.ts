/** Each limit is an option of the environment: `maxTunnels` is `SALLYPORT_LIMIT_MAX_TUNNELS`. */
import { INITIAL_WINDOW_BYTES } from "@sallyport/frame";
import { queueSlackBytes, routerLimits, type RouterLimits } from "./limits.ts";

type LimitName = keyof RouterLimits;

/** The longest delay that a timer takes; bytes may be more. */
const maxTimerMs = 2 ** 31 - 1;
const maxCount = 2 ** 40;

export const limitNames: readonly LimitName[] = Object.keys(routerLimits) as LimitName[]; // What Object.keys forgets of its argument.

export function largestOf(limit: LimitName): number {
  return limit.endsWith("Ms") ? maxTimerMs : maxCount;
}

export function settingOf(limit: string): string {
  return `SALLYPORT_LIMIT_${limit.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** @param given parsed values by variable */
export function limitsOf(given: Readonly<Record<string, unknown>>): RouterLimits {
  const own: Partial<Record<LimitName, number>> = {};
  for (const name of limitNames) {
    const value = given[settingOf(name)];
    if (typeof value === "number") own[name] = value;
  }
  return resolveLimits(own);
}

/** What the options leave open. Room in the queue of a tunnel follows the number of its streams. */
export function resolveLimits(options: Partial<RouterLimits>): RouterLimits {
  const { maxStreamsPerTunnel = routerLimits.maxStreamsPerTunnel } = options;
  const maxQueuedBytesPerTunnel = maxStreamsPerTunnel * INITIAL_WINDOW_BYTES + queueSlackBytes;
  return { ...routerLimits, maxQueuedBytesPerTunnel, ...options };
}
