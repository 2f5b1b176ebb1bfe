import { ClickhouseFault } from "./clickhouse-fault.ts";

/** Lets `size` pieces of work run at once and `waiting` more stand in line; beyond, it refuses. */
export class Slots {
  readonly #maxWaiting: number;
  readonly #line: (() => void)[] = [];
  #free: number;

  constructor(size: number, maxWaiting: number) {
    this.#free = size;
    this.#maxWaiting = maxWaiting;
  }

  /** @throws {ClickhouseFault} TOO_MANY_SIMULTANEOUS_QUERIES */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#line.length >= this.#maxWaiting) throw ClickhouseFault.overloaded();
    else await new Promise<void>((resolve) => this.#line.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
