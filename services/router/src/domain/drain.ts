/**
 * How a router leaves: serving → draining → drained, never back.
 *
 *   1. From the order on nothing new is taken: that is told to every tunnel and link before `order` returns.
 *   2. What runs goes on until it ends by itself or the deadline comes, whichever is first; then everything that is left is ended, once.
 *   3. A further order moves the deadline, earlier or later, and whoever gave it answers for it. After the end it changes nothing.
 */
import type { Principal } from "@sallyport/policy-engine";
import { routerDrained, routerDraining, type Record } from "../events.ts";

/** Whoever ordered it: an administrator, or the router itself when its process is told to stop. */
export type AskedBy = Pick<Principal, "identity" | "serial">;

export interface DrainOrder {
  /** From now. */
  readonly deadlineMs: number;
  readonly askedBy: AskedBy;
  readonly reason: string;
}

export interface DrainFacts {
  readonly sinceUnixMs: number;
  readonly deadlineUnixMs: number;
  readonly askedBy: AskedBy;
  readonly reason: string;
}

export type DrainPhase =
  | { readonly kind: "serving" }
  | { readonly kind: "draining"; readonly facts: DrainFacts; readonly deadline: NodeJS.Timeout }
  | { readonly kind: "drained"; readonly facts: DrainFacts };

/** What is drained. */
export interface Drainable {
  /** Takes nothing new from now on, and tells every tunnel and link so. */
  stopTaking(): void;
  /** What would still have to end. */
  readonly running: { readonly tunnels: number; readonly circuits: number };
  /** Calls back once, when nothing runs any more; at once when that is so already. */
  whenIdle(callback: () => void): void;
  endAll(): void;
}

export class Drain {
  readonly #target: Drainable;
  readonly #record: Record;
  readonly #over = Promise.withResolvers<void>();
  readonly #listeners = new Set<(phase: DrainPhase) => void>();
  #phase: DrainPhase = { kind: "serving" };

  constructor(target: Drainable, record: Record) {
    this.#target = target;
    this.#record = record;
  }

  get phase(): DrainPhase {
    return this.#phase;
  }

  /** Resolves when the router is drained. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  order({ deadlineMs, askedBy, reason }: DrainOrder): DrainFacts {
    const before = this.#phase;
    if (before.kind === "drained") return before.facts; // 3
    if (before.kind === "draining") clearTimeout(before.deadline);
    const now = Date.now();
    const sinceUnixMs = before.kind === "draining" ? before.facts.sinceUnixMs : now;
    const facts = { sinceUnixMs, deadlineUnixMs: now + deadlineMs, askedBy, reason };
    const deadline = setTimeout(() => this.#finish(), deadlineMs);
    this.#enter({ kind: "draining", facts, deadline });
    this.#record(routerDraining(facts, this.#target.running));
    if (before.kind === "serving") {
      this.#target.stopTaking(); // 1
      this.#target.whenIdle(() => this.#finish()); // 2
    }
    return facts;
  }

  onChange(listener: (phase: DrainPhase) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #finish(): void {
    if (this.#phase.kind !== "draining") return;
    const { deadline, facts } = this.#phase;
    clearTimeout(deadline);
    const { running } = this.#target;
    this.#enter({ kind: "drained", facts });
    this.#target.endAll();
    this.#record(routerDrained(facts, running));
    this.#over.resolve();
  }

  #enter(phase: DrainPhase): void {
    this.#phase = phase;
    for (const listener of this.#listeners) listener(phase);
  }
}
