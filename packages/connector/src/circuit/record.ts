/**
 * Records inside a circuit's TLS, after the binding: u8 type, u24 big-endian length (≤ 65,535), payload.
 *
 * A direction is whole only with an END that carries the count of its data bytes (u64 big-endian): a bare close of TLS, which Node
 * reports as a clean end, is a truncation. Behind an END only a RESET may come: who has said all may still give up on what the other end says.
 */
const recordType = { data: 0, end: 1, reset: 2 };

/** What a reader takes. */
const maxRecordBytes = 65_535;
const headerBytes = 4;
/** Of plaintext in a TLS record of the circuit: that is one frame of the tunnel, and with the router's TLS one record again. */
export const maxPlaintextBytes = 16_354;
/** Of data in a record, which is one TLS record then. */
export const maxDataBytes: number = maxPlaintextBytes - headerBytes;
const endBytes = 8;
const resetBytes = 4;

export type RecordFault = "TYPE_UNKNOWN" | "LENGTH_INVALID" | "AFTER_END" | "COUNT_MISMATCH";

export interface RecordHandler {
  /** A view of the received chunk, valid for as long as it is kept. */
  onData(bytes: Buffer): void;
  /** The authenticated end: `count` data bytes were sent and all of them arrived. */
  onEnd(): void;
  onReset(code: number): void;
}

/** How many bytes the data records for `bytes` take. */
export function dataRunBytes(bytes: number): number {
  return bytes + Math.ceil(bytes / maxDataBytes) * headerBytes;
}

/** Writes the next `bytes` of `pieces`, from `offset` in the first one, as full data records and a last one with the rest. */
export function writeDataRun(run: Buffer, pieces: readonly Uint8Array[], offset: number, bytes: number): void {
  let [at, room, left, from] = [0, 0, bytes, offset];
  for (const piece of pieces) {
    while (from < piece.length && left > 0) {
      if (room === 0) {
        room = Math.min(left, maxDataBytes);
        at = run.writeUInt32BE(recordType.data * 2 ** 24 + room, at);
      }
      const taken = Math.min(room, piece.length - from);
      run.set(from === 0 && taken === piece.length ? piece : piece.subarray(from, from + taken), at);
      at += taken;
      room -= taken;
      left -= taken;
      from += taken;
    }
    from = 0;
  }
}

export function encodeEnd(count: number): Buffer {
  const out = Buffer.allocUnsafe(headerBytes + endBytes);
  out.writeUInt32BE(recordType.end * 2 ** 24 + endBytes, 0);
  out.writeBigUInt64BE(BigInt(count), headerBytes);
  return out;
}

export function encodeReset(code: number): Buffer {
  const out = Buffer.allocUnsafe(headerBytes + resetBytes);
  out.writeUInt32BE(recordType.reset * 2 ** 24 + resetBytes, 0);
  out.writeUInt32BE(code, headerBytes);
  return out;
}

/** Reads one direction's records. Data is handed on as it arrives; only headers and the two short payloads are gathered. */
export class RecordReader {
  readonly #handler: RecordHandler;
  readonly #short: Buffer = Buffer.alloc(endBytes);
  #state: "header" | "data" | "end" | "reset" | "over" = "header";
  #ended = false;
  /** Bytes of the current header or short payload that arrived. */
  #gathered = 0;
  /** Bytes of the current data record still to come. */
  #left = 0;
  #received = 0;

  constructor(handler: RecordHandler) {
    this.#handler = handler;
  }

  /** Data bytes so far. */
  get received(): number {
    return this.#received;
  }

  push(chunk: Buffer): RecordFault | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "over" || this.#isBehindEnd(chunk.readUInt8(at))) return "AFTER_END";
      if (this.#state === "data") {
        at = this.#data(chunk, at);
        continue;
      }
      at = this.#gather(chunk, at);
      const fault = this.#gathered === this.#wanted() ? this.#gatheredAll() : undefined;
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  /** Whether a record that begins here has no place behind an END. */
  #isBehindEnd(type: number): boolean {
    return this.#ended && this.#state === "header" && this.#gathered === 0 && type !== recordType.reset;
  }

  #wanted(): number {
    if (this.#state === "end") return endBytes;
    return headerBytes;
  }

  #gather(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#wanted() - this.#gathered);
    this.#gathered += chunk.copy(this.#short, this.#gathered, at, end);
    return end;
  }

  #gatheredAll(): RecordFault | undefined {
    this.#gathered = 0;
    if (this.#state === "header") return this.#header();
    if (this.#state === "end") return this.#end();
    this.#state = "over";
    this.#handler.onReset(this.#short.readUInt32BE(0));
    return undefined;
  }

  #header(): RecordFault | undefined {
    const type = this.#short.readUInt8(0);
    const length = this.#short.readUIntBE(1, 3);
    if (type === recordType.data) {
      if (length === 0 || length > maxRecordBytes) return "LENGTH_INVALID";
      this.#left = length;
      this.#state = "data";
      return undefined;
    }
    if (type === recordType.end) {
      this.#state = "end";
      return length === endBytes ? undefined : "LENGTH_INVALID";
    }
    if (type === recordType.reset) {
      this.#state = "reset";
      return length === resetBytes ? undefined : "LENGTH_INVALID";
    }
    return "TYPE_UNKNOWN";
  }

  #data(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    this.#received += end - at;
    if (this.#left === 0) this.#state = "header";
    this.#handler.onData(chunk.subarray(at, end));
    return end;
  }

  #end(): RecordFault | undefined {
    if (this.#short.readBigUInt64BE(0) !== BigInt(this.#received)) return "COUNT_MISMATCH";
    this.#state = "header";
    this.#ended = true;
    this.#handler.onEnd();
    return undefined;
  }
}
