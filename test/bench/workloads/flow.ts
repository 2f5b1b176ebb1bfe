import type { Circuit } from "@sallyport/connector";

/**
 * How bytes go over a circuit: `down`, host to dialer, and `up`, the other way, at a bounded rate that the reader keeps up with; `slow`, host to dialer as
 * fast as it is let, to a reader that takes 4 KiB four times a second, so that everything between is full; `bulk`, dialer to host, written by whoever dialed.
 */
export type Flow = (typeof flows)[number];

const flows = ["down", "up", "slow", "bulk"] as const;

/** The dialer's first byte tells the host. */
export function flowNumber(flow: Flow): number {
  return flows.indexOf(flow);
}

export function flowOf(number: number): Flow {
  return flows[number] ?? "down";
}

const message = Buffer.alloc(1_024, 7);
const slowReadBytes = 4_096;
const beatMs = 25;
/** An end has its turn each 250 ms; turns are spread. */
const beatsPerTurn = 10;

/** One end's application: writes, reads, and remembers when it last read. */
export class FlowEnd {
  lastByteMs: number | null = null;
  /** Null while it lives. */
  endedMs: number | null = null;
  readonly #circuit: Circuit;
  readonly #writes: "bounded" | "all it can" | "nothing";
  readonly #readsSlowly: boolean;
  readonly turn: number = Math.floor(Math.random() * beatsPerTurn);

  constructor(circuit: Circuit, flow: Flow, role: "dialer" | "host") {
    this.#circuit = circuit;
    const isSender = (flow === "up") === (role === "dialer");
    this.#writes = !isSender || flow === "bulk" ? "nothing" : flow === "slow" ? "all it can" : "bounded";
    this.#readsSlowly = flow === "slow" && role === "dialer";
    void circuit.closedBy.then(() => (this.endedMs = monotonicMs()));
    circuit.on("end", () => circuit.end());
    if (!this.#readsSlowly) circuit.on("data", () => this.#heard()).resume();
    if (this.#writes === "all it can") circuit.on("drain", () => this.#fill());
  }

  takeTurn(): void {
    if (this.endedMs !== null) return;
    if (this.#writes === "bounded" && !this.#circuit.writableNeedDrain && this.#circuit.writable)
      this.#circuit.write(message);
    if (this.#writes === "all it can") this.#fill();
    if (this.#readsSlowly && this.#circuit.read(Math.min(slowReadBytes, this.#circuit.readableLength)) !== null)
      this.#heard();
  }

  #fill(): void {
    while (this.#circuit.writable && !this.#circuit.writableNeedDrain && this.#circuit.write(message));
  }

  #heard(): void {
    this.lastByteMs = monotonicMs();
  }
}

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Gives each end its turn four times a second, for as long as the process lives. */
export function beats(ends: () => readonly FlowEnd[]): void {
  let beat = 0;
  setInterval(() => {
    beat = (beat + 1) % beatsPerTurn;
    for (const end of ends()) if (end.turn === beat) end.takeTurn();
  }, beatMs);
}
