import { readFile, readdir, readlink } from "node:fs/promises";
import { processTree } from "./process-tree.ts";
import { type SocketEntry, socketTable } from "./socket-table.ts";

export interface SurveyedProcess {
  readonly pid: number;
  /** Its command line, for people. */
  readonly command: string;
  /** `net:[4026531840]`: which network it sees. */
  readonly namespace: string;
  /** Internet sockets that it holds, listening or not. */
  readonly sockets: readonly SocketEntry[];
  /** Every listening socket of its namespace, whoever holds it. */
  readonly listeningInNamespace: readonly SocketEntry[];
}

/** What the given processes and all that they started have open, read from /proc. Processes that ended meanwhile are left out. */
export async function surveySockets(roots: readonly number[]): Promise<readonly SurveyedProcess[]> {
  const surveys = await Promise.all((await processTree(roots)).map((pid) => survey(pid).catch(nullWhenGone)));
  return surveys.filter((process) => process !== null);
}

function nullWhenGone(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ESRCH") return null;
  throw error;
}

export async function networkNamespace(pid: number | "self"): Promise<string> {
  return await readlink(`/proc/${pid}/ns/net`);
}

async function survey(pid: number): Promise<SurveyedProcess> {
  const [namespace, table, inodes, commandLine] = await Promise.all([
    networkNamespace(pid),
    socketTable(pid),
    socketInodes(pid),
    readFile(`/proc/${pid}/cmdline`, "utf8"),
  ]);
  return {
    pid,
    namespace,
    command: commandLine.split("\0").join(" ").trim(),
    sockets: table.filter(({ inode }) => inodes.has(inode)),
    listeningInNamespace: table.filter(({ listens }) => listens),
  };
}

/** Descriptors of sockets read as `socket:[<inode>]`. */
async function socketInodes(pid: number): Promise<ReadonlySet<string>> {
  const links = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")),
  );
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}
