/** Prints `N passed, N failed, N skipped` from the test runner's report; a run without a report counts as one failure. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup/stamp.js";

/** A test file that could not be loaded has no tests to fail; it is one failure. */
function count() {
  const report = JSON.parse(readFileSync(join(root, "test/results/vitest.json"), "utf8"));
  const unloaded = report.testResults.filter(
    (/** @type {{ status: string, assertionResults: readonly unknown[] }} */ file) =>
      file.status === "failed" && file.assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

let counted = { passed: 0, failed: 1, skipped: 0 };
try {
  counted = count();
} catch (error) {
  process.stderr.write(`The tests left no report: ${String(error)}\n`);
}
if (counted.failed > 0 || counted.passed === 0) process.exitCode = 1;
process.stdout.write(`${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped\n`);
