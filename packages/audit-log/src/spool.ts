/**
 * Blocks on disk until they are acknowledged: `<spoolDir>/<epoch>/<number>.block`, each an encoded SignedBlock.
 *
 * 1. A block's file appears by rename after fsync: it is whole or absent.
 * 2. The folder of an epoch belongs to the process in its `owner.json`. It appears by rename with that file inside, so that nobody sees it without.
 * 3. A folder whose owner no longer runs is adopted by renaming it into the adopter's own folder: of several adopters exactly one succeeds,
 *    and what an adopter that crashed had adopted is found inside its folder.
 */
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Svid } from "@sallyport/identity";
import { blockFileName, syncFolder, writeBlockFile } from "./block-file.ts";
import { BlockJournal } from "./block-journal.ts";
import { completeEpoch } from "./complete-epoch.ts";
import { EPOCH_PATTERN } from "./limits.ts";
import { isRunning, ownProcessMark, parseProcessMark } from "./process-mark.ts";

const OWNER_FILE = "owner.json";
const ADOPTED_DIR = "adopted";
const REFUSED_DIR = "refused";
const BLOCK_FILE = /^(\d{1,16})\.block$/;

export interface SpooledBlock {
  readonly epoch: string;
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

export class Spool implements AsyncDisposable {
  readonly #root: string;
  readonly #own: string;

  private constructor(root: string, own: string) {
    this.#root = root;
    this.#own = own;
  }

  /** @throws the file system's error when the folder cannot be made */
  static async open(spoolDir: string, epoch: string): Promise<Spool> {
    const own = join(spoolDir, epoch);
    const unborn = join(spoolDir, `.${epoch}.new`);
    await mkdir(join(unborn, ADOPTED_DIR), { recursive: true, mode: 0o700 });
    await writeFile(join(unborn, OWNER_FILE), JSON.stringify(ownProcessMark()), { mode: 0o600 });
    await rename(unborn, own);
    return new Spool(spoolDir, own);
  }

  /** Durable when it resolves. */
  write(number: number, bytes: Uint8Array): Promise<string> {
    return writeBlockFile(this.#own, number, bytes);
  }

  /** A journal for the block that is open now. */
  journal(number: number, previous: Buffer): BlockJournal {
    return new BlockJournal(join(this.#own, blockFileName(number, "journal")), previous);
  }

  read(path: string): Promise<Buffer> {
    return readFile(path);
  }

  remove(path: string): Promise<void> {
    return rm(path, { force: true });
  }

  /** Sets a block aside that nobody will take: kept for a person to look at, never published again. */
  async refuse(path: string, epoch: string, number: number): Promise<void> {
    const folder = join(this.#root, REFUSED_DIR);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await rename(path, join(folder, `${epoch}-${number}.block`));
  }

  /** Takes over what processes that no longer run left behind: their blocks, in the order of each epoch, completed under `svid`. */
  async adopt(svid: Svid): Promise<readonly SpooledBlock[]> {
    for (const epoch of await epochsIn(this.#root)) {
      const folder = join(this.#root, epoch);
      if (folder !== this.#own && (await isOrphan(folder))) await this.#adoptFolder(folder, epoch);
    }
    const blocks: SpooledBlock[] = [];
    for (const epoch of await epochsIn(join(this.#own, ADOPTED_DIR))) {
      const folder = join(this.#own, ADOPTED_DIR, epoch);
      await completeEpoch(folder, epoch, svid);
      blocks.push(...(await blocksIn(folder, epoch)));
    }
    return blocks;
  }

  async #adoptFolder(folder: string, epoch: string): Promise<void> {
    for (const inner of await epochsIn(join(folder, ADOPTED_DIR))) {
      await renameUnlessGone(join(folder, ADOPTED_DIR, inner), join(this.#own, ADOPTED_DIR, inner));
    }
    await renameUnlessGone(folder, join(this.#own, ADOPTED_DIR, epoch));
  }

  /** Removes the folder when it holds no block; else leaves it to be adopted. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const epoch of await epochsIn(join(this.#own, ADOPTED_DIR))) {
      const folder = join(this.#own, ADOPTED_DIR, epoch);
      if ((await blocksIn(folder, epoch)).length === 0) await rm(folder, { recursive: true, force: true });
    }
    const isEmpty =
      (await blocksIn(this.#own, "")).length === 0 && (await epochsIn(join(this.#own, ADOPTED_DIR))).length === 0;
    if (isEmpty) await rm(this.#own, { recursive: true, force: true });
    else await writeFile(join(this.#own, OWNER_FILE), "{}", { mode: 0o600 });
  }
}

async function isOrphan(folder: string): Promise<boolean> {
  const owner = await readFile(join(folder, OWNER_FILE), "utf8").catch(() => null);
  if (owner === null) return false;
  const mark = parseProcessMark(owner);
  return mark === null || !isRunning(mark);
}

async function epochsIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((name) => EPOCH_PATTERN.test(name));
}

async function blocksIn(folder: string, epoch: string): Promise<SpooledBlock[]> {
  const blocks: SpooledBlock[] = [];
  for (const name of (await entriesOf(folder)).toSorted()) {
    const number = BLOCK_FILE.exec(name)?.[1];
    if (number === undefined) continue;
    const path = join(folder, name);
    const bytes = await stat(path).then(
      (facts) => facts.size,
      () => 0,
    );
    blocks.push({ epoch, number: Number(number), path, bytes });
  }
  return blocks;
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function renameUnlessGone(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  await syncFolder(dirname(to));
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
