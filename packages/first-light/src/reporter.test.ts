import { expect, test } from "vitest";
import { jsonReporter, transcript } from "./reporter.ts";
import type { StepReport } from "./step.ts";

const held: StepReport = {
  kind: "held",
  step: "denied-tool",
  ms: 12.3,
  finding: { facts: { tool: "get-env", rule_ids: ["r"] }, lines: ["✗ Unknown tool"], rows: [] },
};
const failed: StepReport = { kind: "failed", step: "dark", ms: 4, error: new Error("it listens") };

function told(report: (write: (text: string) => void) => void): string {
  let text = "";
  report((part) => (text += part));
  return text;
}

test("with --json a step is one line of JSON with its name, whether it holds, and how long it took", () => {
  const text = told((write) => {
    const reporter = jsonReporter(write);
    reporter.progress("ca", 3);
    reporter.step(held);
    reporter.step(failed);
  });
  expect(
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { step: "denied-tool", ok: true, ms: 12.3, tool: "get-env", rule_ids: ["r"] },
    { step: "dark", ok: false, ms: 4, error: "it listens" },
  ]);
});

test("the transcript numbers the steps and says why one failed", () => {
  const text = told((write) => {
    const reporter = transcript(write, false);
    reporter.step(held);
    reporter.step(failed);
  });
  expect(text).toContain("✓ 4 A forbidden tool denied-tool · 12 ms\n    ✗ Unknown tool");
  expect(text).toContain("✗ 7 The servers stand in the dark dark · 4 ms\n    it listens");
});
