import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/**
 * Stamps live inside node_modules, so that whoever deletes that folder deletes what was said of it.
 *
 * @param {string} name
 */
const stampPath = (name) => join(root, "node_modules", `.sallyport-${name}`);

/** @param {string} name @param {string} hash */
export function isStamped(name, hash) {
  try {
    return readFileSync(stampPath(name), "utf8") === hash;
  } catch {
    return false;
  }
}

/** @param {string} name @param {string} hash */
export function stamp(name, hash) {
  mkdirSync(join(root, "node_modules"), { recursive: true });
  writeFileSync(stampPath(name), hash);
}

/** @param {readonly string[]} paths relative to the root; a folder stands for everything in it */
export function hashOf(paths) {
  const hash = createHash("sha256");
  for (const path of paths.flatMap(filesOf)) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  }
  return hash.digest("hex");
}

/** @param {string} path @returns {string[]} */
function filesOf(path) {
  try {
    return readdirSync(join(root, path))
      .sort()
      .flatMap((name) => filesOf(`${path}/${name}`));
  } catch {
    return [path];
  }
}
