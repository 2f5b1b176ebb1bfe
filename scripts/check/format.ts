import { type Gate, runTool, verdictOf } from "./gate.ts";

export const format: Gate = {
  name: "oxfmt",
  unit: "files",
  run: async () => verdictOf(await runTool("oxfmt", ["--check"]), /on (\d+) files/),
};
