import pc from "picocolors";
import { type StepName, type StepReport, stepNames } from "./step.ts";

/** Where the story is told. */
export interface Reporter {
  /** Something that takes a while is done, that long after the beginning. */
  progress(what: string, ms: number): void;
  step(report: StepReport): void;
}

type Write = (text: string) => void;

/** One JSON object per step and line; nothing else. */
export function jsonReporter(write: Write): Reporter {
  return {
    progress: () => undefined,
    step: (report) => {
      const { step, ms } = report;
      const told =
        report.kind === "held"
          ? { step, ok: true, ms, ...report.finding.facts }
          : { step, ok: false, ms, error: report.error.message };
      write(`${JSON.stringify(told)}\n`);
    },
  };
}

const titles: Readonly<Record<StepName, string>> = {
  enrolled: "An agent gets an identity",
  "tools-listed": "It sees only the tools that it may call",
  "allowed-call": "It calls one",
  "denied-tool": "A forbidden tool",
  "denied-argument": "An allowed tool with a forbidden argument",
  "unreachable-service": "Another agent, without a permit",
  dark: "The servers stand in the dark",
  revoked: "Cut off, while data flows",
  audited: "All of it is on record",
};

/** A transcript for a person. */
export function transcript(write: Write, colour: boolean): Reporter {
  const { bold, cyan, dim, green, red } = pc.createColors(colour);
  return {
    progress: (what, ms) => write(`${dim(`  ${what.padEnd(28)} ${seconds(ms).padStart(6)}`)}\n`),
    step: (report) => {
      const number = stepNames.indexOf(report.step) + 1;
      const mark = report.kind === "held" ? green("✓") : red("✗");
      write(`\n${mark} ${bold(`${number} ${titles[report.step]}`)} ${dim(`${report.step} · ${seconds(report.ms)}`)}\n`);
      if (report.kind === "held") for (const line of report.finding.lines) write(`    ${paint(line)}\n`);
      else write(`    ${red(report.error.message.split("\n").join("\n    "))}\n`);
    },
  };

  function paint(line: string): string {
    if (line.startsWith("✗")) return red(line);
    if (line.startsWith("→")) return green(line);
    return line.startsWith("$") ? cyan(line) : line;
  }
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
