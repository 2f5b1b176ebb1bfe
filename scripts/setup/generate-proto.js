import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run, say } from "./say.js";
import { hashOf, isStamped, root, stamp } from "./stamp.js";

const output = "packages/proto/gen";

/** Generates TypeScript and descriptors from proto/ when proto/ or its generator changed. */
export async function generateProto() {
  const hash = hashOf(["proto", "node_modules/ts-proto/package.json", "node_modules/@bufbuild/buf/package.json"]);
  if (isStamped("proto", hash) && existsSync(join(root, output, "descriptors.binpb"))) return;
  say("· Generating code from proto/ …");
  const bin = join(root, "node_modules/.bin");
  // buf starts its plugin by the word `node`: the pinned one.
  const options = {
    cwd: join(root, "proto"),
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"]}` },
  };
  await run(join(bin, "buf"), ["generate"], options);
  await run(join(bin, "buf"), ["build", "-o", join(root, output, "descriptors.binpb")], options);
  stamp("proto", hash);
}
