import { FrameError } from "./frame-error.ts";

/** Bytes of DATA that may be sent on a new stream, in each direction, before the receiver grants more (spec.md, section 5). */
export const INITIAL_WINDOW_BYTES = 262_144;

/** Credit that a receiver may have granted and not yet seen spent. More is a violation: no receiver has room for it. */
export const MAX_CREDIT_BYTES = 16_777_216;

/**
 * What the sender of one direction of a stream may still send. Held by an endpoint for what it sends, and by whoever must hold the sender to it:
 * the receiving endpoint, and the router in between.
 */
export class Credit {
  #availableBytes: number = INITIAL_WINDOW_BYTES;

  get availableBytes(): number {
    return this.#availableBytes;
  }

  /** A WINDOW frame. Throws CREDIT_OVERFLOW for nothing granted or more than anyone can hold. */
  grant(bytes: number): void {
    if (bytes === 0 || this.#availableBytes + bytes > MAX_CREDIT_BYTES) {
      throw new FrameError(
        "CREDIT_OVERFLOW",
        `WINDOW of ${bytes} bytes on top of ${this.#availableBytes}: not between 1 and the limit.`,
      );
    }
    this.#availableBytes += bytes;
  }

  /** A DATA frame's payload. Throws CREDIT_EXCEEDED where there was no credit for it. */
  spend(bytes: number): void {
    if (bytes > this.#availableBytes) {
      throw new FrameError("CREDIT_EXCEEDED", `DATA of ${bytes} bytes with credit for ${this.#availableBytes}.`);
    }
    this.#availableBytes -= bytes;
  }
}
