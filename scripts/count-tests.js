/** Prints `N passed, N failed, N skipped` over the test runner's reports; a run without its report counts as one failure. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup/stamp.js";

/** What `npm test` and `npm run test:fault` leave. */
const reports = ["vitest.json", "fault.json"];

/**
 * A test file that could not be loaded has no tests to fail; it is one failure.
 * @param {string} name
 */
function count(name) {
  try {
    const report = JSON.parse(readFileSync(join(root, "test/results", name), "utf8"));
    const unloaded = report.testResults.filter(
      (/** @type {{ status: string, assertionResults: readonly unknown[] }} */ file) =>
        file.status === "failed" && file.assertionResults.length === 0,
    );
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + unloaded.length,
      skipped: report.numPendingTests + report.numTodoTests,
    };
  } catch (error) {
    process.stderr.write(`The tests left no report ${name}: ${String(error)}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const counted = { passed: 0, failed: 0, skipped: 0 };
for (const { passed, failed, skipped } of reports.map(count)) {
  counted.passed += passed;
  counted.failed += failed;
  counted.skipped += skipped;
}
if (counted.failed > 0 || counted.passed === 0) process.exitCode = 1;
process.stdout.write(`${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped\n`);
