/** A disk of a few hundred kilobytes in place of a folder, which can be filled to the last byte. Needs root and `mount`. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export class SmallDisk implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Why there can be none here; undefined when there can. */
  static get unavailableBecause(): string | undefined {
    const folder = mkdtempSync(join(tmpdir(), "sallyport-test-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], { stdio: "ignore" });
      execFileSync("umount", [folder], { stdio: "ignore" });
      return undefined;
    } catch {
      return "no file system may be mounted: it needs root and CAP_SYS_ADMIN";
    } finally {
      rmdirSync(folder);
    }
  }

  static async mount(folder: string, kib: number): Promise<SmallDisk> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await run("mount", ["-t", "tmpfs", "-o", `size=${kib}k,mode=700`, "tmpfs", folder]);
    return new SmallDisk(folder);
  }

  /** Takes all the room that there is. */
  async fill(): Promise<void> {
    await using file = await open(this.#ballast, "a");
    for (let size = 65_536; size >= 1;) {
      try {
        await file.write(Buffer.alloc(size));
      } catch {
        size = Math.floor(size / 2);
      }
    }
  }

  /** Gives it back. */
  async free(): Promise<void> {
    await rm(this.#ballast, { force: true });
  }

  /** Bytes in the files of a spool. */
  async usedBytes(): Promise<number> {
    const files = await readdir(this.#folder, { recursive: true, withFileTypes: true });
    const sizes = files
      .filter((file) => file.isFile() && /\.(block|journal)$/.test(file.name))
      .map((file) => stat(join(file.parentPath, file.name)).then(({ size }) => size));
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  /** Whoever still holds a file open loses it with the last one. */
  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", ["--lazy", this.#folder]);
  }

  get #ballast(): string {
    return join(this.#folder, "ballast");
  }
}
