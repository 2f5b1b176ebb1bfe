/**
 * `npm test`: every gate, then every test, unit and end to end. Both run even when the first is red, so that one run tells all.
 * The test runner's own count goes to test/results/vitest.json (git-ignored). Arguments are handed to vitest.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup/stamp.js";

const results = join(root, "test/results/vitest.json");

function runNode(args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

rmSync(results, { force: true });
const gates = await runNode(["scripts/check.ts"]);
const tests = await runNode([
  join(root, "node_modules/vitest/vitest.mjs"),
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${results}`,
  ...process.argv.slice(2),
]);
if (!gates || !tests) process.exitCode = 1;
