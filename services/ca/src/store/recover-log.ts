import { constants, open, type FileHandle } from "node:fs/promises";
import { CaError } from "../errors.ts";
import { decodeLine, noPrevious } from "./issuance-line.ts";

/** Where the log ends. */
export interface LogEnd {
  /** Number of entries. */
  readonly length: number;
  /** Checksum of the last one. */
  readonly checksum: string;
  /** Bytes up to the end of the last whole line. */
  readonly bytes: number;
  /** Bytes after it, which a crash in the middle of a write left: no answer had left for them. */
  readonly tornBytes: number;
}

const chunkBytes = 1024 * 1024;
/** Longer than any entry; without a limit a damaged file could fill the memory. */
const maxLineBytes = 16_384;
const newline = 0x0a;

interface Line {
  /** With its newline. */
  readonly bytes: number;
  /** Null when it is too long to be one of ours. */
  readonly text: string | null;
}

/**
 * Reads the whole log and finds its end.
 * @throws {CaError} LOG_CORRUPT when a line that is not whole is followed by one that is: that is no torn write.
 */
export async function recoverLog(path: string): Promise<LogEnd> {
  await using file = await open(path, constants.O_RDONLY | constants.O_CREAT, 0o600);
  let end: LogEnd = { length: 0, checksum: noPrevious, bytes: 0, tornBytes: 0 };
  let bytes = 0;
  let broken = false;
  for await (const line of finishedLines(file)) {
    bytes += line.bytes;
    const entry = line.text === null ? null : decodeLine(line.text);
    const follows = entry?.previous === end.checksum && entry.issuance.sequence === end.length + 1;
    if (entry !== null && (broken || !follows)) throw corrupt(path, end.length);
    if (entry === null) broken = true;
    else end = { length: end.length + 1, checksum: entry.checksum, bytes, tornBytes: 0 };
  }
  const { size } = await file.stat();
  return { ...end, tornBytes: size - end.bytes };
}

/** Every line that has its newline, without it; null for one that is too long. */
async function* finishedLines(file: FileHandle): AsyncGenerator<Line, void, void> {
  const chunk = Buffer.alloc(chunkBytes);
  let rest: Buffer = Buffer.alloc(0);
  let skipped = 0;
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(chunk, 0, chunkBytes, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    const bytes = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    let start = 0;
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, start)) {
      const length = skipped + at - start;
      yield { bytes: length + 1, text: length > maxLineBytes ? null : bytes.toString("utf8", start, at) };
      skipped = 0;
      start = at + 1;
    }
    const isTooLong = skipped + bytes.length - start > maxLineBytes;
    skipped = isTooLong ? skipped + bytes.length - start : 0;
    rest = isTooLong ? Buffer.alloc(0) : Buffer.from(bytes.subarray(start));
  }
}

function corrupt(path: string, after: number): CaError {
  return new CaError("LOG_CORRUPT", `The issuance log ${path} is damaged after entry ${after}.`, {
    remedy:
      "Restore it from a backup, or move it away to start a new one; certificates that only it names can then no longer be accounted for.",
  });
}
