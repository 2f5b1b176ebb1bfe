import { MAX_BLOCK_AGE_MS, MAX_BLOCK_BYTES, MAX_BLOCK_EVENTS } from "./limits.ts";

/** Collects encoded events until there are 500 of them, 768 KiB, or the first is 200 ms old. */
export class OpenBlock {
  readonly #onEvent: (event: Buffer) => void;
  readonly #onClose: (events: readonly Buffer[]) => void;
  #events: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(listener: {
    /** Told of each event after the block before it closed. */
    readonly onEvent: (event: Buffer) => void;
    readonly onClose: (events: readonly Buffer[]) => void;
  }) {
    this.#onEvent = listener.onEvent;
    this.#onClose = listener.onClose;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(event: Buffer): void {
    if (this.#bytes + event.length > MAX_BLOCK_BYTES) this.close();
    this.#events.push(event);
    this.#bytes += event.length;
    this.#onEvent(event);
    if (this.#events.length === MAX_BLOCK_EVENTS) this.close();
    else this.#timer ??= setTimeout(() => this.close(), MAX_BLOCK_AGE_MS).unref();
  }

  /** Hands over what was collected; nothing happens when that is nothing. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    this.#onClose(events);
  }
}
