import { chooseHosts } from "./host-choice.ts";
import type { HostEntry, HostHealth, HostOffer } from "./host-entry.ts";
import type { TunnelPort } from "./tunnel-port.ts";

export type HostChange =
  | { readonly kind: "added"; readonly entry: HostEntry }
  /** In health, cost or precedence. */
  | { readonly kind: "changed"; readonly entry: HostEntry }
  /** In circuits. */
  | { readonly kind: "load"; readonly entry: HostEntry }
  | { readonly kind: "removed"; readonly entry: HostEntry };

/** What may change while an entry is there; nobody else writes it. */
type Held = { -readonly [Key in keyof HostEntry]: HostEntry[Key] };

/** Who hosts what: on this router's tunnels, and behind its links. */
export class HostRegistry {
  /** Of each service, whoever was not chosen for longest comes first. */
  readonly #byService = new Map<string, Held[]>();
  readonly #held = new Map<HostEntry, Held>();
  readonly #listeners = new Set<(change: HostChange) => void>();

  add(offer: HostOffer, health: HostHealth = { kind: "unknown" }): HostEntry {
    const { service, party, port, cost, precedence } = offer;
    const lastUpUnixMs = health.kind === "up" ? Date.now() : 0;
    const state = { sinceUnixMs: Date.now(), health, lastUpUnixMs, circuits: 0, circuitsElsewhere: 0 };
    const entry: Held = { service, party, port, cost, precedence, ...state };
    const entries = this.#byService.get(service);
    if (entries === undefined) this.#byService.set(service, [entry]);
    else entries.push(entry);
    this.#held.set(entry, entry);
    this.#announce({ kind: "added", entry });
    return entry;
  }

  /** False when it was not there. */
  remove(entry: HostEntry): boolean {
    if (!this.#held.delete(entry)) return false;
    const rest = (this.#byService.get(entry.service) ?? []).filter((known) => known !== entry);
    if (rest.length === 0) this.#byService.delete(entry.service);
    else this.#byService.set(entry.service, rest);
    this.#announce({ kind: "removed", entry });
    return true;
  }

  /** What the host says of itself. */
  setPreference(entry: HostEntry, { cost, precedence }: Pick<HostOffer, "cost" | "precedence">): void {
    const held = this.#held.get(entry);
    if (held === undefined || (held.cost === cost && held.precedence === precedence)) return;
    held.cost = cost;
    held.precedence = precedence;
    this.#announce({ kind: "changed", entry });
  }

  /** What a probe or a circuit showed. Of an entry that is gone meanwhile: nothing. */
  setHealth(entry: HostEntry, health: HostHealth): void {
    const held = this.#held.get(entry);
    if (held === undefined) return;
    if (health.kind === "up") held.lastUpUnixMs = Date.now();
    const same = held.health.kind === health.kind;
    held.health = health;
    if (!same) this.#announce({ kind: "changed", entry });
  }

  circuitOpened(entry: HostEntry): void {
    this.#load(entry, (held) => (held.circuits += 1));
  }

  circuitEnded(entry: HostEntry): void {
    this.#load(entry, (held) => (held.circuits -= 1));
  }

  setCircuitsElsewhere(entry: HostEntry, circuits: number): void {
    if (entry.circuitsElsewhere !== circuits) this.#load(entry, (held) => (held.circuitsElsewhere = circuits));
  }

  /** What the workload of a tunnel offers there. */
  at(service: string, port: TunnelPort): HostEntry | undefined {
    return this.#byService.get(service)?.find((entry) => entry.port === port);
  }

  of(service: string): readonly HostEntry[] {
    return this.#byService.get(service) ?? [];
  }

  /** For one dial, best first (host-choice.ts): the first counts as chosen. */
  candidates(service: string, stickyFor: string | null = null): readonly HostEntry[] {
    const entries = this.#byService.get(service);
    if (entries === undefined) return [];
    const candidates = chooseHosts(entries, stickyFor);
    const at = entries.findIndex((entry) => entry === candidates[0]);
    if (at >= 0) entries.push(...entries.splice(at, 1));
    return candidates;
  }

  list(): readonly HostEntry[] {
    return [...this.#byService.values()].flat();
  }

  /** Calls back after each change. The answer ends it. */
  onChange(listener: (change: HostChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #load(entry: HostEntry, change: (held: Held) => void): void {
    const held = this.#held.get(entry);
    if (held === undefined) return;
    change(held);
    this.#announce({ kind: "load", entry });
  }

  #announce(change: HostChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
