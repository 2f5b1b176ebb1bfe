import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Svid } from "@sallyport/identity";
import { SignedBlock } from "@sallyport/proto/audit";
import { readJournal } from "./block-journal.ts";
import { blockHash, packBlock, signBlock } from "./block.ts";
import { writeBlockFile } from "./block-file.ts";

const JOURNAL_FILE = /^(\d{16})\.journal$/;

/**
 * Makes blocks of the events that the owner of an epoch recorded and did not live to sign: the chain ends whole.
 * A journal beside its block is only what the owner did not live to remove.
 */
export async function completeEpoch(folder: string, epoch: string, svid: Svid): Promise<void> {
  const names = new Set(await readdir(folder));
  let completed: Buffer | null = null;
  for (const name of [...names].toSorted()) {
    const digits = JOURNAL_FILE.exec(name)?.[1];
    if (digits === undefined) continue;
    const content = names.has(`${digits}.block`) ? null : await readJournal(join(folder, name));
    if (content !== null) {
      const { events } = content;
      // The block before was made here too, and so has another hash than the one that its owner had in mind.
      const previous: Buffer = completed ?? content.previous;
      const block = packBlock({ epoch, number: Number(digits), previous, events, timeUnixMs: Date.now() });
      await writeBlockFile(folder, Number(digits), SignedBlock.encode(signBlock(block, svid)).finish());
      completed = blockHash(block);
    }
    await rm(join(folder, name), { force: true });
  }
}
