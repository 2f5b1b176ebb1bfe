import { FrameType, HEADER_BYTES, payloadBytesAt, streamIdAt, typeAt } from "@sallyport/frame";

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

  get bytes(): number {
    return this.#bytes;
  }

  push(frames: Buffer): void {
    this.#entries.push(frames);
    this.#bytes += frames.length;
  }

  pushUrgent(frame: Buffer): void {
    this.#urgent.push(frame);
    this.#bytes += frame.length;
  }

  shift(): Buffer | null {
    const taken = this.#urgent.shift() ?? this.#shiftEntry();
    if (taken !== null) this.#bytes -= taken.length;
    return taken;
  }

  clear(): void {
    this.#urgent = [];
    this.#entries = [];
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
    this.#head = 0;
    this.#bytes = 0;
    for (const entry of this.#urgent) this.#bytes += entry.length;
    for (const entry of kept) this.#bytes += entry.length;
    return before - this.#bytes;
  }

  #shiftEntry(): Buffer | null {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return null;
    this.#head += 1;
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
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
