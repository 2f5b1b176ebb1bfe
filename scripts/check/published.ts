import { join } from "node:path";
import { type Gate, root, runTool } from "./gate.ts";

const folders = ["packages/cli"];

/** Packages that leave this repository, as npm would pack them. */
export const published: Gate = {
  name: "publint",
  unit: "packed files",
  run: async () => {
    let looked = 0;
    for (const folder of folders) {
      looked += await packedFiles(folder);
      const ran = await runTool("publint", ["run", "--strict"], join(root, folder));
      if (!ran.ok) return { kind: "failed", looked, findings: ran.output };
    }
    return { kind: "passed", looked };
  },
};

async function packedFiles(folder: string): Promise<number> {
  const ran = await runTool("npm", ["pack", "--dry-run", "--json"], join(root, folder));
  return ran.output.match(/^\s*"path":/gm)?.length ?? 0;
}
