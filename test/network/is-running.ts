import { readFileSync } from "node:fs";

/** Whether the process runs. A zombie does not: it waits for a parent that, as the first process of a container, may never ask. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0] !== "Z";
  } catch {
    return false;
  }
}
