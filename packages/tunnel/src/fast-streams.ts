import { INITIAL_WINDOW_BYTES } from "@sallyport/frame";

const MAX_WINDOW_BYTES = 1_048_576;
/** For the streams of one tunnel together, once they are fast. */
const SHARED_BYTES = 2_097_152;
/** Who reads half a window in less waits for its sender rather than the other way round. */
const FAST_MS = 25;

/**
 * The streams of a tunnel whose readers are quick share a wider window: on a busy machine or a long way, the initial one is empty before a grant has
 * travelled back. What they hold together stays small (less than 3 MiB beyond the initial windows), however many they are and whenever they stall.
 */
export class FastStreams {
  #count = 0;

  /** What each of them may have sent ahead of its reader. */
  get windowBytes(): number {
    if (this.#count === 0) return INITIAL_WINDOW_BYTES;
    const share = Math.floor(SHARED_BYTES / this.#count);
    return Math.min(MAX_WINDOW_BYTES, Math.max(INITIAL_WINDOW_BYTES, share));
  }

  join(): void {
    this.#count += 1;
  }

  leave(): void {
    this.#count -= 1;
  }
}

/** One stream's way into `FastStreams` and out of it. */
export class ReaderPace {
  readonly #fast: FastStreams | undefined;
  #isFast = false;
  #tookAt = Number.NEGATIVE_INFINITY;

  constructor(fast: FastStreams | undefined) {
    this.#fast = fast;
  }

  /** What the sender may be ahead of the reader just now. */
  get windowBytes(): number {
    return this.#isFast && this.#fast !== undefined ? this.#fast.windowBytes : INITIAL_WINDOW_BYTES;
  }

  /** The reader took half a window. Answers with the window from now on. */
  took(now: number): number {
    const isFast = now - this.#tookAt < FAST_MS;
    this.#tookAt = now;
    this.#become(isFast);
    return this.windowBytes;
  }

  /** Nothing more will be sent. */
  over(): void {
    this.#become(false);
    this.#tookAt = Number.NEGATIVE_INFINITY;
  }

  #become(isFast: boolean): void {
    if (isFast === this.#isFast) return;
    this.#isFast = isFast;
    if (isFast) this.#fast?.join();
    else this.#fast?.leave();
  }
}
