import { open } from "node:fs/promises";
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

/**
 * Reads the whole log and finds its end.
 * @throws {CaError} LOG_CORRUPT when a line that is not whole is followed by one that is: that is no torn write.
 */
export async function recoverLog(path: string): Promise<LogEnd> {
  await using file = await open(path, "a+", 0o600);
  const { size } = await file.stat();
  let end: LogEnd = { length: 0, checksum: noPrevious, bytes: 0, tornBytes: 0 };
  let broken = false;
  for await (const line of file.readLines({ start: 0, autoClose: false, encoding: "utf8" })) {
    const entry = decodeLine(line);
    const follows = entry !== null && entry.previous === end.checksum && entry.issuance.sequence === end.length + 1;
    if (broken && entry !== null) throw corrupt(path, end.length);
    // A last line may be whole but for its newline: it was not finished, so it does not count.
    if (entry !== null && !follows) throw corrupt(path, end.length);
    const bytes = end.bytes + Buffer.byteLength(line) + 1;
    if (entry === null || bytes > size) broken = true;
    else end = { length: end.length + 1, checksum: entry.checksum, bytes, tornBytes: 0 };
  }
  return { ...end, tornBytes: size - end.bytes };
}

function corrupt(path: string, after: number): CaError {
  return new CaError("LOG_CORRUPT", `The issuance log ${path} is damaged after entry ${after}.`, {
    remedy: "Restore it from a backup, or move it away to start a new one; certificates that only it names can then no longer be accounted for.",
  });
}
