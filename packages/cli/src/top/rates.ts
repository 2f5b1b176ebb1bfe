import type { Figures } from "@sallyport/proto/router";

/** What one router does, per second, between two of its figures. */
export interface Rates {
  readonly cpuPercent: number;
  readonly bytesPerSecond: number;
  readonly framesPerSecond: number;
  readonly opensPerSecond: number;
  readonly refusalsPerSecond: number;
  readonly shedPerSecond: number;
}

/** Zero where there is nothing to compare with: before the second figures, and after a router began anew. */
export function ratesOf(before: Figures | undefined, now: Figures): Rates {
  const seconds = before === undefined ? 0 : (now.timeUnixMs - before.timeUnixMs) / 1_000;
  const rate = (of: (figures: Figures) => number): number => {
    if (before === undefined || seconds <= 0) return 0;
    return Math.max(0, of(now) - of(before)) / seconds;
  };
  return {
    cpuPercent: rate(({ cpuSeconds }) => cpuSeconds) * 100,
    bytesPerSecond: rate(({ bytesForwarded }) => bytesForwarded),
    framesPerSecond: rate(({ framesForwarded }) => framesForwarded),
    opensPerSecond: rate(({ circuitsOpened }) => circuitsOpened),
    refusalsPerSecond: rate(({ circuitsRefused, tunnelsRefused }) => circuitsRefused + tunnelsRefused),
    shedPerSecond: rate(({ shed }) => Object.values(shed).reduce((sum, count) => sum + count, 0)),
  };
}
