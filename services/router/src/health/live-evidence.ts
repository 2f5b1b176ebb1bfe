import type { Circuit } from "../domain/circuit.ts";

/** What circuits carried by the last look at them, so that the next one sees which are alive in both directions. */
export class LiveEvidence {
  readonly #seen = new WeakMap<Circuit, { readonly fromDialer: number; readonly fromHost: number }>();

  /** Whether any of them carried bytes both ways since it was last looked at; for one that is new here, since it began. */
  look(circuits: readonly Circuit[]): boolean {
    let alive = false;
    for (const circuit of circuits) {
      const before = this.#seen.get(circuit);
      const now = { fromDialer: circuit.dialerLeg.bytes, fromHost: circuit.hostLeg.bytes };
      this.#seen.set(circuit, now);
      alive ||= now.fromDialer > (before?.fromDialer ?? 0) && now.fromHost > (before?.fromHost ?? 0);
    }
    return alive;
  }
}
