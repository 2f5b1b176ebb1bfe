import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./stamp.js";

/**
 * Asserts that the Node which `npm run` will put first in PATH is the pinned one. It comes as an optional package, because
 * it exists per platform, and an optional package that fails to install fails silently.
 */
export function providePinnedNode() {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const name = `node-${process.platform}-${process.arch}`;
  const pinned = optionalDependencies[name];
  if (pinned === undefined) return assertOwnNode();
  const found = versionOf(join(root, "node_modules/.bin/node"));
  if (found === `v${pinned}`) return;
  throw new Error(
    `node_modules/.bin/node is ${found ?? "missing"}, and should be v${pinned}.\n` +
      `The optional package ${name}@${pinned} did not install. Run \`npm ci --include=optional\` and read what it says of that package.`,
  );
}

/** On platforms without a pinned build the machine's own Node serves. */
function assertOwnNode() {
  if (Number.parseInt(process.versions.node, 10) >= 24) return;
  throw new Error(
    `Node ${process.versions.node} is too old; on ${process.platform}-${process.arch} install Node 24 or newer and try again.`,
  );
}

/** @param {string} path @returns {string | null} */
function versionOf(path) {
  try {
    return execFileSync(path, ["--version"], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}
