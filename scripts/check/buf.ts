import { join } from "node:path";
import { type Gate, root, runTool } from "./gate.ts";

const proto = join(root, "proto");

async function countFiles(): Promise<number> {
  const { output } = await runTool("buf", ["ls-files"], proto);
  return output.split("\n").filter((line) => line.startsWith("sallyport/")).length;
}

export const bufLint: Gate = {
  name: "buf-lint",
  unit: "proto files",
  run: async () => {
    const looked = await countFiles();
    const ran = await runTool("buf", ["lint"], proto);
    return ran.ok ? { kind: "passed", looked } : { kind: "failed", looked, findings: ran.output };
  },
};

/** What is published may not break on the wire: against the last release, else against where this branch began. */
export const bufBreaking: Gate = {
  name: "buf-breaking",
  unit: "proto files",
  run: async () => {
    const base = await findBase();
    if (base === null) return { kind: "skipped", reason: "no earlier commit to hold against" };
    const looked = await countFiles();
    const ran = await runTool("buf", ["breaking", "--against", `${root}/.git#ref=${base},subdir=proto`], proto);
    return ran.ok ? { kind: "passed", looked } : { kind: "failed", looked, findings: ran.output };
  },
};

async function findBase(): Promise<string | null> {
  const head = await git("rev-parse", "HEAD");
  const tag = await git("describe", "--tags", "--abbrev=0", "--match", "v*");
  const fork = await git("merge-base", "HEAD", "origin/main");
  for (const base of [tag, fork === head ? null : fork, await git("rev-parse", "HEAD^")]) {
    if (base !== null && (await git("cat-file", "-e", `${base}:proto/buf.yaml`)) !== null) return base;
  }
  return null;
}

async function git(...args: readonly string[]): Promise<string | null> {
  const { ok, output } = await runTool("git", args);
  return ok ? output.trim() : null;
}
