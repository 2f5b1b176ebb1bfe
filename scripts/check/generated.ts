import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { generateProto } from "../setup/generate-proto.js";
import { type Gate, root } from "./gate.ts";

/** Code and descriptors generated from proto/ are those of the proto/ that lies here. */
export const generated: Gate = {
  name: "generate",
  unit: "generated files",
  run: async () => {
    const folder = join(root, "packages/proto/gen");
    try {
      await generateProto();
    } catch (error) {
      return { kind: "failed", looked: 0, findings: String(error) };
    }
    if (!existsSync(join(folder, "descriptors.binpb"))) {
      return { kind: "failed", looked: 0, findings: "descriptors.binpb is missing" };
    }
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    return { kind: "passed", looked: files.filter((file) => file.endsWith(".ts")).length };
  },
};
