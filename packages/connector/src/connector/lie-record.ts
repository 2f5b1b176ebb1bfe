import type { EventInput } from "@sallyport/audit-log";
import type { CircuitRole } from "../circuit/binding.ts";
import { policyRefused } from "./events.ts";
import type { PolicyLie } from "./policy-feed.ts";

const oneInMs = 10_000;

/** Puts a router's lies about policy on record. It may lie as fast as it likes: the record gets one of a time, and the count of the rest. */
export class LieRecord {
  readonly #record: (event: EventInput) => void;
  #recordedAt = Number.NEGATIVE_INFINITY;
  #unrecorded = 0;

  constructor(record: (event: EventInput) => void) {
    this.#record = record;
  }

  take(lie: PolicyLie, vantage: CircuitRole): void {
    const now = performance.now();
    if (now - this.#recordedAt < oneInMs) {
      this.#unrecorded += 1;
      return;
    }
    this.#record(policyRefused(lie, vantage, this.#unrecorded));
    this.#recordedAt = now;
    this.#unrecorded = 0;
  }
}
