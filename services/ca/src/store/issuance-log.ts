import * as fs from "node:fs/promises";
import { dirname } from "node:path";
import type { IssuanceRecord } from "../domain/authority.ts";
import type { Issuance, NewIssuance } from "../domain/issuance.ts";
import { CaError } from "../errors.ts";
import { encodeLine } from "./issuance-line.ts";
import { recoverLog, type LogEnd } from "./recover-log.ts";

type State =
  | { readonly kind: "open"; readonly file: LogFile; readonly end: LogEnd }
  /** A write failed: what is on disk is unknown until the log is read again. */
  | { readonly kind: "unknown"; readonly end: LogEnd }
  | { readonly kind: "closed"; readonly end: LogEnd };

/** What appending needs of a file. */
export interface LogFile {
  appendFile(bytes: Uint8Array): Promise<void>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface IssuanceLogOptions {
  /** Told how many bytes of a torn tail were cut off. */
  readonly onTorn?: (bytes: number) => void;
  /** Opens the file for appending. Default: the disk. */
  readonly openFile?: (path: string) => Promise<LogFile>;
}

interface Waiting {
  readonly issuance: NewIssuance;
  readonly settle: PromiseWithResolvers<Issuance>;
}

/** More would only wait longer than their callers do. */
const maxWaiting = 1000;

/**
 * The append-only issuance log.
 *
 * 1. An entry counts when it and all before it are on the disk (`fdatasync`); only then does `append` resolve.
 * 2. Entries that arrive while a write runs share the next one.
 * 3. After a failed write nothing is appended before the log was read again and cut at its last whole line.
 */
export class IssuanceLog implements IssuanceRecord, AsyncDisposable {
  readonly #path: string;
  readonly #openFile: (path: string) => Promise<LogFile>;
  #state: State;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  private constructor(path: string, openFile: (path: string) => Promise<LogFile>, state: State) {
    this.#path = path;
    this.#openFile = openFile;
    this.#state = state;
  }

  /**
   * Opens or creates the log; a torn tail is cut off.
   * @throws {CaError} LOG_CORRUPT
   */
  static async open(path: string, options: IssuanceLogOptions = {}): Promise<IssuanceLog> {
    const { onTorn, openFile = openForAppending } = options;
    const { file, end, tornBytes } = await openAtEnd(path, openFile);
    if (tornBytes > 0) onTorn?.(tornBytes);
    return new IssuanceLog(path, openFile, { kind: "open", file, end });
  }

  get length(): number {
    return this.#state.end.length;
  }

  append(issuance: NewIssuance): Promise<Issuance> {
    if (this.#waiting.length >= maxWaiting) return Promise.reject(unavailable("too many entries wait for the disk"));
    const settle = Promise.withResolvers<Issuance>();
    this.#waiting.push({ issuance, settle });
    this.#writing ??= this.#drain();
    return settle.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    const state = this.#state;
    this.#state = { kind: "closed", end: state.end };
    if (state.kind === "open") await state.file.close();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const issuances = await this.#write(batch.map((waiting) => waiting.issuance));
        batch.forEach(({ settle }, index) => settle.resolve(at(issuances, index)));
      } catch (cause) {
        const error = unavailable("the entry could not be written", cause);
        for (const { settle } of batch) settle.reject(error);
      }
    }
    this.#writing = null;
  }

  async #write(batch: readonly NewIssuance[]): Promise<readonly Issuance[]> {
    const { file, end } = await this.#ready();
    let { length, checksum } = end;
    const lines: string[] = [];
    const issuances: Issuance[] = [];
    for (const entry of batch) {
      length += 1;
      const issuance: Issuance = { sequence: length, ...entry };
      const line = encodeLine(issuance, checksum);
      checksum = line.checksum;
      lines.push(line.text);
      issuances.push(issuance);
    }
    const bytes = Buffer.from(lines.join(""));
    try {
      await file.appendFile(bytes);
      await file.datasync();
    } catch (cause) {
      this.#state = { kind: "unknown", end };
      await file.close().catch(() => undefined);
      throw cause;
    }
    this.#state = { kind: "open", file, end: { length, checksum, bytes: end.bytes + bytes.length, tornBytes: 0 } };
    return issuances;
  }

  async #ready(): Promise<{ readonly file: LogFile; readonly end: LogEnd }> {
    if (this.#state.kind === "closed") throw unavailable("the log is closed");
    if (this.#state.kind === "open") return this.#state;
    const { file, end } = await openAtEnd(this.#path, this.#openFile);
    this.#state = { kind: "open", file, end };
    return this.#state;
  }
}

async function openAtEnd(
  path: string,
  openFile: (path: string) => Promise<LogFile>,
): Promise<{ readonly file: LogFile; readonly end: LogEnd; readonly tornBytes: number }> {
  const end = await recoverLog(path);
  const file = await openFile(path);
  try {
    await file.truncate(end.bytes);
    await file.datasync();
    await syncDirectory(dirname(path));
  } catch (error) {
    await file.close();
    throw error;
  }
  return { file, end: { ...end, tornBytes: 0 }, tornBytes: end.tornBytes };
}

function openForAppending(path: string): Promise<LogFile> {
  return fs.open(path, "a", 0o600);
}

/** A new file is durable only with its folder's entry. */
async function syncDirectory(path: string): Promise<void> {
  await using directory = await fs.open(path, "r");
  await directory.sync();
}

function at(issuances: readonly Issuance[], index: number): Issuance {
  const issuance = issuances[index];
  if (issuance === undefined) throw new TypeError("unreachable: one issuance per entry");
  return issuance;
}

function unavailable(why: string, cause?: unknown): CaError {
  return new CaError("LOG_UNAVAILABLE", `No certificate can be issued: ${why}.`, {
    cause,
    remedy: "Check the disk of the CA's state folder, then try again.",
  });
}
