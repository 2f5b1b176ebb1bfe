import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConstellationError } from "./constellation-error.ts";
import type { HolderName } from "./roles.ts";

/** What a key encryption key is for: one per process, and one for the root that no process needs. */
export type KeyName = HolderName | "root";

/**
 * Key encryption keys of one network, outside its state folder, so that a copy of that folder alone opens nothing.
 * @param networkId from network.json: networks of one user do not share keys.
 */
export class KeyFiles {
  readonly #dir: string;

  constructor(keyDir: string, networkId: string) {
    this.#dir = join(keyDir, `network-${networkId}`);
  }

  path(name: KeyName): string {
    return join(this.#dir, `${name}.key`);
  }

  async create(name: KeyName): Promise<Buffer> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const key = randomBytes(32);
    await writeFile(this.path(name), `${key.toString("base64")}\n`, { mode: 0o600, flag: "wx" });
    return key;
  }

  /** The key of `name`, made when there is none. */
  async ensure(name: KeyName): Promise<Buffer> {
    return existsSync(this.path(name)) ? await this.read(name) : await this.create(name);
  }

  /** @throws ConstellationError KEY_MISSING */
  async read(name: KeyName): Promise<Buffer> {
    try {
      return Buffer.from((await readFile(this.path(name), "utf8")).trim(), "base64");
    } catch (cause) {
      throw new ConstellationError({
        code: "KEY_MISSING",
        message: `the key encryption key ${this.path(name)} cannot be read`,
        remedy: "Restore it from a backup, or make a new network in another state folder.",
        cause,
      });
    }
  }
}
