import { CliError } from "./cli-error.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Seconds of `90`, `90s`, `30m`, `12h`, `7d`. @throws CliError DURATION_INVALID */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  const seconds = UNIT_SECONDS[unit === undefined || unit === "" ? "s" : unit];
  if (amount !== undefined && seconds !== undefined) return Number(amount) * seconds;
  throw new CliError({
    code: "DURATION_INVALID",
    message: `"${text}" is not a duration`,
    remedy: "Write a number and s, m, h or d, such as 30m.",
  });
}
