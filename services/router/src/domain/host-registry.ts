/** Who offers a service, on which tunnel. Soft state of this router: it ends with the tunnel. */
export interface HostEntry<T> {
  readonly service: string;
  readonly tunnel: T;
  readonly sinceUnixMs: number;
}

/** Hosts by service, in rotation: each look begins one further, so that dials spread over equal hosts. */
export class HostRegistry<T> {
  readonly #byService = new Map<string, HostEntry<T>[]>();

  /** False when this tunnel already offers it. */
  add(entry: HostEntry<T>): boolean {
    const entries = this.#byService.get(entry.service) ?? [];
    if (entries.some((known) => known.tunnel === entry.tunnel)) return false;
    this.#byService.set(entry.service, [...entries, entry]);
    return true;
  }

  remove(service: string, tunnel: T): boolean {
    const entries = this.#byService.get(service) ?? [];
    const rest = entries.filter((entry) => entry.tunnel !== tunnel);
    if (rest.length === 0) this.#byService.delete(service);
    else this.#byService.set(service, rest);
    return rest.length < entries.length;
  }

  has(service: string, tunnel: T): boolean {
    return (this.#byService.get(service) ?? []).some((entry) => entry.tunnel === tunnel);
  }

  /** Candidates for the next dial, best first. */
  candidates(service: string): readonly HostEntry<T>[] {
    const entries = this.#byService.get(service);
    if (entries === undefined) return [];
    const [first, ...rest] = entries;
    if (first !== undefined) this.#byService.set(service, [...rest, first]);
    return entries;
  }

  list(): readonly HostEntry<T>[] {
    return [...this.#byService.values()].flat();
  }
}
