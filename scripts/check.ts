/**
 * Every gate, one after another, each telling how much it looked at: `npm run check [-- <gate>...]`.
 * A gate that looked at nothing fails like one that found something.
 */
import { boundaries } from "./check/boundaries.ts";
import { bufBreaking, bufLint } from "./check/buf.ts";
import { deadCode } from "./check/dead-code.ts";
import { format } from "./check/format.ts";
import type { Gate, Verdict } from "./check/gate.ts";
import { generated } from "./check/generated.ts";
import { layout } from "./check/layout.ts";
import { lint } from "./check/lint.ts";
import { published } from "./check/published.ts";
import { types } from "./check/types.ts";

const gates: readonly Gate[] = [
  generated,
  bufLint,
  bufBreaking,
  format,
  types,
  lint,
  boundaries,
  deadCode,
  published,
  layout,
];

function tell(gate: Gate, verdict: Verdict, startedAt: number): boolean {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const passed = verdict.kind === "skipped" || (verdict.kind === "passed" && verdict.looked > 0);
  const mark = verdict.kind === "skipped" ? "skip" : passed ? "ok  " : "FAIL";
  const looked = verdict.kind === "skipped" ? verdict.reason : `${verdict.looked} ${gate.unit}`;
  process.stdout.write(`${mark}  ${gate.name.padEnd(12)} ${looked.padEnd(28)} ${seconds.padStart(5)} s\n`);
  if (verdict.kind === "failed") process.stdout.write(`${verdict.findings.trim()}\n\n`);
  if (verdict.kind === "passed" && !passed) process.stdout.write(`it looked at nothing, which proves nothing\n\n`);
  return passed;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !gates.some((gate) => gate.name === name));
if (unknown.length > 0) {
  process.stderr.write(`No gate ${unknown.join(", ")}. There are: ${gates.map((gate) => gate.name).join(", ")}.\n`);
  process.exitCode = 2;
} else {
  for (const gate of gates.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const startedAt = performance.now();
    if (!tell(gate, await gate.run(), startedAt)) process.exitCode = 1;
  }
}
