import { existsSync, readFileSync } from "node:fs";

/** Of /proc: the kernel tells CPU time to user space in these, whatever its own ticks are (USER_HZ). */
const ticksPerSecond = 100;

/** CPU time, user and system, that a process and its children still running have used so far. */
export function cpuSeconds(pid: number): number {
  const own = ticksOf(pid) / ticksPerSecond;
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child), own);
}

/** Resident memory of a process, in KiB. */
export function residentKib(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? Number.NaN);
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the program's name in parentheses, which may hold anything: fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userField, systemField] = [11, 12] as const;
  return Number(fields[userField]) + Number(fields[systemField]);
}

function childrenOf(pid: number): readonly number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").trim().split(" ").filter(Boolean).map(Number);
}
