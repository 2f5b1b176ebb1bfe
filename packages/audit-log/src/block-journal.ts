/**
 * The events of a block that is still open, on disk a moment after they were recorded, so that the end of the process does not take them along.
 *
 * 1. `<number>.journal` begins with the hash of the block before, then each event with its length before it (u32, big-endian).
 * 2. It is discarded when `<number>.block` is durable, and before that block is published: a journal beside no block was never published.
 * 3. It is written without fsync: it survives the process, not the machine's power.
 */
import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { MAX_EVENT_BYTES } from "./limits.ts";

const HASH_BYTES = 32;
const LENGTH_BYTES = 4;

export interface JournalContent {
  /** `Block.previous` of the block that the events belong to. */
  readonly previous: Buffer;
  readonly events: readonly Buffer[];
}

export class BlockJournal {
  readonly #path: string;
  #waiting: Buffer[];
  #file: FileHandle | null = null;
  #writing: Promise<void> | null = null;
  #isDiscarded = false;

  constructor(path: string, previous: Buffer) {
    this.#path = path;
    this.#waiting = [previous];
  }

  append(event: Buffer): void {
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32BE(event.length);
    this.#waiting.push(length, event);
    this.#writing ??= this.#writeAll();
  }

  /** Removes the file: its block is durable, or lost with the disk. */
  async discard(): Promise<void> {
    this.#isDiscarded = true;
    this.#waiting = [];
    await this.#writing;
    await this.#file?.close().catch(() => {});
    await rm(this.#path, { force: true }).catch(() => {});
  }

  /** A disk that refuses is the blocks' trouble, told there: the journal then simply protects nothing. */
  async #writeAll(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, "w", 0o600);
      while (this.#waiting.length > 0 && !this.#isDiscarded) {
        const bytes = Buffer.concat(this.#waiting);
        this.#waiting = [];
        await this.#file.writeFile(bytes);
      }
    } catch {
      this.#waiting = [];
    } finally {
      this.#writing = null;
    }
  }
}

/** What a journal holds, up to where its writer's end tore it; null when there is no whole event. */
export async function readJournal(path: string): Promise<JournalContent | null> {
  const bytes = await readFile(path);
  const events: Buffer[] = [];
  let at = HASH_BYTES;
  while (at + LENGTH_BYTES <= bytes.length) {
    const end = at + LENGTH_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length || end - at - LENGTH_BYTES > MAX_EVENT_BYTES) break;
    events.push(bytes.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  return events.length === 0 ? null : { previous: bytes.subarray(0, HASH_BYTES), events };
}
