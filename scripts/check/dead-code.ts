import { join } from "node:path";
import { type Gate, root, runTool, verdictOf } from "./gate.ts";

/** Files, exports and dependencies that nothing uses. */
export const deadCode: Gate = {
  name: "knip",
  unit: "files",
  run: async () => {
    const counter = join(root, "scripts/check/knip-counter.js");
    const args = ["--no-progress", "--treat-config-hints-as-errors", "--reporter", "symbols", "--reporter", counter];
    return verdictOf(await runTool("knip", args), /knip looked at (\d+) files/);
  },
};
