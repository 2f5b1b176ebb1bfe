import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Gate, root, runTool } from "./gate.ts";

/** With project references the check is the build: `tsc -b`. */
export const types: Gate = {
  name: "tsc",
  unit: "files",
  run: async () => {
    const ran = await runTool("tsc", ["-b"]);
    const looked = projects().reduce((sum, project) => sum + rootFilesOf(project), 0);
    return ran.ok ? { kind: "passed", looked } : { kind: "failed", looked, findings: ran.output };
  },
};

function projects(): readonly string[] {
  const config: { references: readonly { path: string }[] } = JSON.parse(
    readFileSync(join(root, "tsconfig.json"), "utf8"),
  );
  return config.references.map(({ path }) => path);
}

/** The build info names a project's own files by index or by range of indexes, both ends included. */
function rootFilesOf(project: string): number {
  const path = join(root, project, "dist/.tsbuildinfo");
  if (!existsSync(path)) return 0;
  const info: { root?: readonly (number | readonly [number, number])[] } = JSON.parse(readFileSync(path, "utf8"));
  return (info.root ?? []).reduce<number>(
    (sum, entry) => sum + (typeof entry === "number" ? 1 : entry[1] - entry[0] + 1),
    0,
  );
}
