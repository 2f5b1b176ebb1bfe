import { type Gate, runTool, verdictOf } from "./gate.ts";

/** Type-aware, and no warning is small enough to stay. The rules are in .oxlintrc.json and scripts/lint. */
export const lint: Gate = {
  name: "oxlint",
  unit: "files",
  run: async () =>
    verdictOf(
      await runTool("oxlint", ["--type-aware", "--deny-warnings", "--report-unused-disable-directives"]),
      /on (\d+) files/,
    ),
};
