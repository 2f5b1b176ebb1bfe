import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runSpoken } from "./say.js";
import { hashOf, isStamped, root, stamp } from "./stamp.js";

/** Runs `npm ci` when what is installed is not what package-lock.json says. */
export async function installPackages() {
  const hash = hashOf(["package-lock.json"]);
  if (isStamped("lock", hash)) return;
  if (!isInstalled()) {
    // npm names itself to the scripts that it runs; outside of npm the one in PATH does.
    const npm = process.env["npm_execpath"];
    const [command, ...first] = npm === undefined ? ["npm"] : [process.execPath, npm];
    await runSpoken(
      "Installing packages, about 1.2 GB unpacked (once per change of package-lock.json)",
      command,
      [...first, "ci", "--no-audit", "--no-fund"],
      {
        cwd: root,
      },
    );
  }
  stamp("lock", hash);
}

/**
 * npm writes node_modules/.package-lock.json last and so tells a whole installation from a broken one. Optional packages
 * are absent where they are for another platform.
 */
function isInstalled() {
  const installed = packagesOf("node_modules/.package-lock.json");
  const { "": _root, ...wanted } = packagesOf("package-lock.json");
  return Object.entries(wanted).every(([path, entry]) =>
    installed[path] === undefined
      ? entry.optional === true || !path.includes("node_modules/")
      : installed[path].version === entry.version && (entry.link !== true || existsSync(join(root, path))),
  );
}

/**
 * The packages that a lock file names; none where there is no whole file.
 *
 * @param {string} path
 */
function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8")).packages ?? {};
  } catch {
    return {};
  }
}
