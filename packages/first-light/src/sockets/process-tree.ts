import { readFile, readdir } from "node:fs/promises";

/** The given processes and everything that they started, as /proc shows it now (proc(5), `/proc/pid/stat`). */
export async function processTree(roots: readonly number[]): Promise<readonly number[]> {
  const children = new Map<number, number[]>();
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    const parent = Number.isInteger(pid) ? await parentOf(pid) : null;
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [...roots];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** The command's name may hold spaces and parentheses: the fields begin after the last one. */
async function parentOf(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (stat === null) return null;
  const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(parent);
}
