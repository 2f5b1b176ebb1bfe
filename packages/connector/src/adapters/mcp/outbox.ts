import { Writable } from "node:stream";

/** Takes a line and calls `done` when the next one may come; false when it did not take it. */
export type LineTaker = (line: Buffer, done: () => void) => boolean;

const highWaterBytes = 65_536;

/**
 * What a client wrote and no circuit has taken yet, one line after the other. While there is no circuit the first line waits, the rest behind
 * it, and a full outbox holds the client up: nothing is dropped, and nothing is sent twice.
 */
export class Outbox extends Writable {
  #taker: LineTaker | undefined;
  #waiting: { readonly line: Buffer; readonly done: () => void } | undefined;

  constructor() {
    super({ highWaterMark: highWaterBytes });
  }

  /** From now on lines go there; undefined: they wait. */
  deliverTo(taker: LineTaker | undefined): void {
    this.#taker = taker;
    const waiting = this.#waiting;
    if (taker === undefined || waiting === undefined) return;
    this.#waiting = undefined;
    this.#deliver(waiting.line, waiting.done);
  }

  override _write(line: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#deliver(line, done);
  }

  #deliver(line: Buffer, done: () => void): void {
    if (this.#taker?.(line, done) === true) return;
    this.#waiting = { line, done };
  }
}
