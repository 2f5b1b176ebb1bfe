import { median } from "../figure.ts";

export interface Sample {
  readonly atMs: number;
  readonly residentKib: number;
  readonly descriptors: number;
}

export interface Growth {
  /** Slope of the line through all samples after the warm-up (least squares). */
  readonly kibPerMinute: number;
  readonly descriptorsPerMinute: number;
  /** Medians of the first and of the last fifth. */
  readonly residentKib: readonly [first: number, last: number];
  readonly descriptors: readonly [first: number, last: number];
  readonly grows: boolean;
}

/**
 * A collector's own breath: less than that between the first and the last fifth is not growth. V8's young generation widens to three times 16 MiB when it
 * likes, which under a light load takes most of an hour. A slower leak than that shows in a longer run.
 */
const breathKib = 32_768;
const breathShare = 0.08;
const breathDescriptors = 8;

export function growthOf(samples: readonly Sample[]): Growth {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const [first, last] = [samples.slice(0, fifth), samples.slice(-fifth)];
  const medians = (of: (sample: Sample) => number): readonly [number, number] => [
    median(first.map(of)),
    median(last.map(of)),
  ];
  const residentKib = medians((sample) => sample.residentKib);
  const descriptors = medians((sample) => sample.descriptors);
  return {
    kibPerMinute: slope(samples, (sample) => sample.residentKib),
    descriptorsPerMinute: slope(samples, (sample) => sample.descriptors),
    residentKib,
    descriptors,
    grows:
      residentKib[1] - residentKib[0] > Math.max(breathKib, residentKib[0] * breathShare) ||
      descriptors[1] - descriptors[0] > breathDescriptors,
  };
}

function slope(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const minutes = samples.map(({ atMs }) => atMs / 60_000);
  const values = samples.map(of);
  const [meanX, meanY] = [mean(minutes), mean(values)];
  let [above, below] = [0, 0];
  for (const [index, x] of minutes.entries()) {
    above += (x - meanX) * ((values[index] ?? 0) - meanY);
    below += (x - meanX) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
