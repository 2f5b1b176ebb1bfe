import type { Party } from "./party.ts";
import type { TunnelPort } from "./tunnel-port.ts";

/** Who offers a service, and on which port it is reached. Soft state of this router: it ends with the port. */
export interface HostEntry {
  readonly service: string;
  readonly party: Party;
  readonly port: TunnelPort;
  readonly sinceUnixMs: number;
}

/** Hosts by service, in rotation: each look begins one further, so that dials spread over equal hosts. */
export class HostRegistry {
  readonly #byService = new Map<string, HostEntry[]>();

  /** False when this port already offers it. */
  add(entry: HostEntry): boolean {
    const entries = this.#byService.get(entry.service) ?? [];
    if (entries.some((known) => known.port === entry.port)) return false;
    this.#byService.set(entry.service, [...entries, entry]);
    return true;
  }

  remove(service: string, port: TunnelPort): boolean {
    const entries = this.#byService.get(service) ?? [];
    const rest = entries.filter((entry) => entry.port !== port);
    if (rest.length === 0) this.#byService.delete(service);
    else this.#byService.set(service, rest);
    return rest.length < entries.length;
  }

  has(service: string, port: TunnelPort): boolean {
    return (this.#byService.get(service) ?? []).some((entry) => entry.port === port);
  }

  /** Candidates for the next dial, best first. */
  candidates(service: string): readonly HostEntry[] {
    const entries = this.#byService.get(service);
    if (entries === undefined) return [];
    const [first, ...rest] = entries;
    if (first !== undefined) this.#byService.set(service, [...rest, first]);
    return entries;
  }

  list(): readonly HostEntry[] {
    return [...this.#byService.values()].flat();
  }
}
