import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run, runSpoken } from "./say.js";
import { root } from "./stamp.js";

const own = join(root, ".tools/nats-server");

/**
 * Asserts a nats-server in PATH or in the project's own folder. Debian's is unpacked, not installed: no root needed, and
 * no system service starts on port 4222.
 */
export async function provideNatsServer() {
  if ((await runs("nats-server")) || (await runs(join(own, "usr/sbin/nats-server")))) return;
  try {
    await unpackFromDebian();
  } catch (cause) {
    throw new Error(
      "there is no nats-server in PATH, and Debian's could not be fetched.\n" +
        `Install NATS server 2.9.10 or newer (https://nats.io/download) so that \`nats-server --version\` works, and try again.\n${String(cause)}`,
      { cause },
    );
  }
}

async function unpackFromDebian() {
  mkdirSync(join(root, ".tools"), { recursive: true });
  const folder = mkdtempSync(join(root, ".tools/fetching-"));
  const download = () =>
    runSpoken("Fetching nats-server from Debian", "apt-get", ["download", "nats-server"], { cwd: folder });
  try {
    await download().catch(async () => {
      await runSpoken("Refreshing Debian's package lists", "apt-get", ["update"]);
      await download();
    });
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get download brought no package");
    await run("dpkg-deb", ["-x", join(folder, archive), join(folder, "unpacked")]);
    rmSync(own, { recursive: true, force: true });
    renameSync(join(folder, "unpacked"), own);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (!(await runs(join(own, "usr/sbin/nats-server")))) throw new Error("the unpacked nats-server does not run");
}

/** @param {string} command */
async function runs(command) {
  try {
    await run(command, ["--version"]);
    return true;
  } catch {
    return false;
  }
}
