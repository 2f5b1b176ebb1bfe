import { type Gate, runTool, verdictOf } from "./gate.ts";

/** Who may import whom: tags in each workspace's turbo.json, their directions in the root's. */
export const boundaries: Gate = {
  name: "boundaries",
  unit: "files",
  run: async () => verdictOf(await runTool("turbo", ["boundaries"]), /Checked (\d+) files/),
};
