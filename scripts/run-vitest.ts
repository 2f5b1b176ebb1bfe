import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup/stamp.js";

/** Runs a script of this checkout with this Node. @returns whether it ended well. */
export function runNode(args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

/** Runs the projects of vitest.config.ts that `project` names. The runner's own count goes to test/results/<report>.json, git-ignored. */
export async function runVitest(report: string, project: string, args: readonly string[]): Promise<boolean> {
  const results = join(root, `test/results/${report}.json`);
  rmSync(results, { force: true });
  return await runNode([
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    `--project=${project}`,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${results}`,
    ...args,
  ]);
}
