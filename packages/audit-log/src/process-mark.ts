import { readFileSync } from "node:fs";

/** Names one running process, also after its number was given to another. */
export interface ProcessMark {
  readonly pid: number;
  /** Boot id and start time on Linux; empty where the system does not tell them. */
  readonly start: string;
}

export function ownProcessMark(): ProcessMark {
  return { pid: process.pid, start: processStart(process.pid) };
}

/** Whether the marked process still runs. Of a process of another user only its existence is known. */
export function isRunning(mark: ProcessMark): boolean {
  try {
    process.kill(mark.pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
  }
  return mark.start === "" || processStart(mark.pid) === mark.start;
}

/** Reads back what {@link ownProcessMark} gave as JSON; null when it is something else. */
export function parseProcessMark(json: string): ProcessMark | null {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== "object" || value === null || !("pid" in value) || !("start" in value)) return null;
    if (!Number.isSafeInteger(value.pid) || typeof value.pid !== "number" || value.pid < 1) return null;
    return typeof value.start === "string" ? { pid: value.pid, start: value.start } : null;
  } catch {
    return null;
  }
}

/**
 * Field 22 of proc_pid_stat(5), counted after the command's name, which may hold any character but ends at the last `)`.
 * Empty for a zombie: it has ended, and waits for a parent that may never ask.
 */
function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return "";
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}:${fields[19] ?? ""}`;
  } catch {
    return "";
  }
}
