import type { Circuit } from "./circuit.ts";

export interface Busy {
  readonly circuits: readonly BusyCircuit[];
  readonly workloads: readonly BusyWorkload[];
}

export interface BusyCircuit {
  readonly circuit: Circuit;
  /** DATA bytes of both directions. */
  readonly bytesPerSecond: number;
}

export interface BusyWorkload {
  readonly spiffeId: string;
  readonly bytesPerSecond: number;
  readonly circuits: number;
}

const nothing: Busy = { circuits: [], workloads: [] };

/** What moved most from one look to the next. */
export class BusyMeter {
  readonly #now: () => number;
  #bytesBefore: ReadonlyMap<Circuit, number> | null = null;
  #lookedAtMs = 0;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = performance.now.bind(performance)) {
    this.#now = now;
  }

  /** The `most` busiest of either, busiest first. The first look sees nothing: there is nothing to compare with. */
  look(circuits: Iterable<Circuit>, most: number): Busy {
    const before = this.#bytesBefore;
    const now = this.#now();
    const seconds = (now - this.#lookedAtMs) / 1_000;
    const bytes = new Map<Circuit, number>();
    for (const circuit of circuits) bytes.set(circuit, circuit.dialerLeg.bytes + circuit.hostLeg.bytes);
    this.#bytesBefore = bytes;
    this.#lookedAtMs = now;
    if (before === null || seconds <= 0) return nothing;
    const moved = [...bytes].flatMap(([circuit, total]) => {
      const since = total - (before.get(circuit) ?? 0);
      return since === 0 ? [] : [{ circuit, bytesPerSecond: since / seconds }];
    });
    return { circuits: busiest(moved, most), workloads: busiest(byWorkload(moved), most) };
  }
}

function byWorkload(moved: readonly BusyCircuit[]): readonly BusyWorkload[] {
  const workloads = new Map<string, BusyWorkload>();
  for (const { circuit, bytesPerSecond } of moved) {
    // A workload may reach what it hosts itself.
    for (const spiffeId of new Set([circuit.dialer.identity.id.uri, circuit.host.identity.id.uri])) {
      const known = workloads.get(spiffeId) ?? { spiffeId, bytesPerSecond: 0, circuits: 0 };
      workloads.set(spiffeId, {
        spiffeId,
        bytesPerSecond: known.bytesPerSecond + bytesPerSecond,
        circuits: known.circuits + 1,
      });
    }
  }
  return [...workloads.values()];
}

function busiest<T extends { readonly bytesPerSecond: number }>(moved: readonly T[], most: number): readonly T[] {
  return moved.toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond).slice(0, most);
}
