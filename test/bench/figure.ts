export type Unit = "ms" | "MB/s" | "s/GB" | "1/s" | "KiB" | "MiB" | "descriptors" | "index";

export interface Figure {
  readonly figure: string;
  readonly value: number;
  readonly unit: Unit;
  /** Against `peer`, measured in the same run; null where nothing is compared, or the peer is not on this machine. */
  readonly ratio: number | null;
  /** What `ratio` compares with, its own figure included; or why there is none. */
  readonly peer: string | null;
  /** Samples. */
  readonly n: number;
}

export function print(figure: Figure): void {
  process.stdout.write(`${JSON.stringify(figure)}\n`);
}

/** Nearest-rank percentile of at least one sample. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 50);
}

export function round(value: number): number {
  return Number(value.toFixed(3));
}
