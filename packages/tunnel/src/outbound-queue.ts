import { FrameType, HEADER_BYTES, payloadBytesAt, streamIdAt, typeAt } from "@sallyport/frame";

const PACKED_BELOW_BYTES = 4096;
const BLOCK_BYTES = 16_384;

/**
 * Frames that wait for the carrier. Each entry is one or more whole frames, so that what is dropped or overtaken is always whole frames.
 * Pings overtake everything: a peer behind a full queue is slow, not dead.
 */
export class OutboundQueue {
  #urgent: Buffer[] = [];
  #entries: Buffer[] = [];
  // Entries before this index are already taken; the array is cut when half of it is.
  #head = 0;
  #bytes = 0;
  // The memory of the last entry, when that one is packed.
  #block: Buffer | null = null;
  #blockUsedBytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * @param packed for a queue that is long already: small frames are copied together, so that neither their number nor the chunks that they are
   * views of cost more memory than their bytes.
   * @returns whether they were.
   */
  push(frames: Buffer, packed: boolean): boolean {
    this.#bytes += frames.length;
    if (packed && frames.length < PACKED_BELOW_BYTES) {
      this.#pack(frames);
      return true;
    }
    this.#block = null;
    this.#entries.push(frames);
    return false;
  }

  pushUrgent(frame: Buffer): void {
    this.#urgent.push(frame);
    this.#bytes += frame.length;
  }

  /** What `shift` would take. */
  get next(): Buffer | null {
    return this.#urgent[0] ?? this.#entries[this.#head] ?? null;
  }

  shift(): Buffer | null {
    const taken = this.#urgent.shift() ?? this.#shiftEntry();
    if (taken !== null) this.#bytes -= taken.length;
    return taken;
  }

  clear(): void {
    this.#urgent = [];
    this.#entries = [];
    this.#block = null;
    this.#head = 0;
    this.#bytes = 0;
  }

  /**
   * Removes the DATA, WINDOW and FIN frames of a stream; returns their bytes. OPEN, ACCEPT, REFUSE and RESET stay: without them the peer would not
   * understand what is sent for the stream next.
   */
  dropStream(streamId: number): number {
    const before = this.#bytes;
    const kept: Buffer[] = [];
    for (let index = this.#head; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index];
      if (entry !== undefined) keepOthers(entry, streamId, kept);
    }
    this.#entries = kept;
    this.#block = null;
    this.#head = 0;
    this.#bytes = 0;
    for (const entry of this.#urgent) this.#bytes += entry.length;
    for (const entry of kept) this.#bytes += entry.length;
    return before - this.#bytes;
  }

  /** DATA payload of a stream that waits here. It looks at every frame: for the rare case, not for each. */
  payloadBytesOf(streamId: number): number {
    let bytes = 0;
    for (let index = this.#head; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index];
      for (let at = 0; entry !== undefined && at < entry.length;) {
        const payloadBytes = payloadBytesAt(entry, at);
        if (streamIdAt(entry, at) === streamId && typeAt(entry, at) === FrameType.data) bytes += payloadBytes;
        at += HEADER_BYTES + payloadBytes;
      }
    }
    return bytes;
  }

  #pack(frames: Buffer): void {
    if (this.#block !== null && this.#blockUsedBytes + frames.length <= BLOCK_BYTES) {
      this.#entries.pop();
    } else {
      this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
      this.#blockUsedBytes = 0;
    }
    this.#blockUsedBytes += frames.copy(this.#block, this.#blockUsedBytes);
    this.#entries.push(this.#block.subarray(0, this.#blockUsedBytes));
  }

  #shiftEntry(): Buffer | null {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return null;
    this.#head += 1;
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
      if (this.#entries.length === 0) this.#block = null;
    }
    return entry;
  }
}

/** Appends to `kept` what remains of `entry`, as views over it. */
function keepOthers(entry: Buffer, streamId: number, kept: Buffer[]): void {
  let keepFrom = 0;
  let at = 0;
  while (at < entry.length) {
    const end = at + HEADER_BYTES + payloadBytesAt(entry, at);
    if (streamIdAt(entry, at) === streamId && isDroppable(typeAt(entry, at))) {
      if (at > keepFrom) kept.push(entry.subarray(keepFrom, at));
      keepFrom = end;
    }
    at = end;
  }
  if (keepFrom === 0) kept.push(entry);
  else if (keepFrom < entry.length) kept.push(entry.subarray(keepFrom));
}

function isDroppable(type: number): boolean {
  return type === FrameType.data || type === FrameType.window || type === FrameType.fin;
}
