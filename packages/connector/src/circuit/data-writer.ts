import type { Writable } from "node:stream";
import { dataRunBytes, maxDataBytes, maxPlaintextBytes, writeDataRun } from "./record.ts";

/** Sixteen full records: large enough that the cost of a write vanishes, small enough that a stalled circuit holds little. */
const runRecords = 16;
const maxRunDataBytes: number = runRecords * maxDataBytes;
/** Below it Node's own pool and the collector do better. */
const minReusedBytes = 16_384;
/** 2 MiB for the whole process. */
const maxFree = 8;

const freeRuns: Buffer[] = [];

type Done = (error?: Error | null) => void;

/**
 * Puts bytes into data records and these into TLS, a run at a time. The memory of a run is used again once TLS calls back, since it has encrypted it then:
 * a fresh buffer per run costs more in page faults and collection than the encryption does.
 */
export class DataWriter {
  readonly #tls: Writable;

  constructor(tls: Writable) {
    this.#tls = tls;
  }

  write(pieces: readonly Uint8Array[], bytes: number, done: Done): void {
    this.#writeRun(pieces, 0, bytes, done);
  }

  #writeRun(pieces: readonly Uint8Array[], offset: number, bytes: number, done: Done): void {
    const dataBytes = Math.min(bytes, maxRunDataBytes);
    const run = takeRun(dataRunBytes(dataBytes));
    writeDataRun(run, pieces, offset, dataBytes);
    this.#tls.write(run, (error) => {
      giveBack(run);
      if (error || dataBytes === bytes) return done(error);
      const rest = skip(pieces, offset + dataBytes);
      return this.#writeRun(rest.pieces, rest.offset, bytes - dataBytes, done);
    });
  }
}

function takeRun(bytes: number): Buffer {
  if (bytes < minReusedBytes) return Buffer.allocUnsafe(bytes);
  return (freeRuns.pop() ?? Buffer.allocUnsafeSlow(runRecords * maxPlaintextBytes)).subarray(0, bytes);
}

function giveBack(run: Buffer): void {
  if (run.length >= minReusedBytes && freeRuns.length < maxFree) freeRuns.push(Buffer.from(run.buffer));
}

function skip(
  pieces: readonly Uint8Array[],
  bytes: number,
): { readonly pieces: readonly Uint8Array[]; readonly offset: number } {
  let offset = bytes;
  const first = pieces.findIndex((piece) => {
    if (offset < piece.length) return true;
    offset -= piece.length;
    return false;
  });
  return { pieces: pieces.slice(first), offset };
}
