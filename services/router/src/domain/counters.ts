import { RelayCounters } from "@sallyport/tunnel";

/** What a router did since its start, as numbers for whoever watches it. */
export class Counters {
  circuitsOpened = 0;
  circuitsRefused = 0;
  circuitsCut = 0;
  tunnelsOpened = 0;
  tunnelsRefused = 0;
  /** Of all tunnels and links. */
  readonly relay: RelayCounters = new RelayCounters();
  readonly #shed = new Map<string, number>();

  /** @param limit name of a limit (docs/limits.md) beyond which something was refused or ended. */
  shedBy(limit: string): void {
    this.#shed.set(limit, (this.#shed.get(limit) ?? 0) + 1);
  }

  get shed(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#shed);
  }
}
