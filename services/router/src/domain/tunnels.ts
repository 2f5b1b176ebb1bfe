import type { DeniedSubject } from "@sallyport/policy-engine";
import { IdentityIndex } from "./identity-index.ts";
import type { RouterTunnel } from "./router-tunnel.ts";

/** The tunnels of this router, by their id and by who is at the other end. */
export class Tunnels implements Iterable<RouterTunnel> {
  readonly #byId = new Map<string, RouterTunnel>();
  readonly #byIdentity = new IdentityIndex<RouterTunnel>();

  get size(): number {
    return this.#byId.size;
  }

  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<RouterTunnel> {
    return this.#byId.values();
  }

  get(tunnelId: string): RouterTunnel | undefined {
    return this.#byId.get(tunnelId);
  }

  of(subject: DeniedSubject): readonly RouterTunnel[] {
    return this.#byIdentity.of(subject);
  }

  countOf(subject: DeniedSubject): number {
    return this.#byIdentity.count(subject);
  }

  add(tunnel: RouterTunnel): void {
    this.#byId.set(tunnel.tunnelId, tunnel);
    this.#byIdentity.add(tunnel.party, tunnel);
  }

  delete(tunnel: RouterTunnel): boolean {
    this.#byIdentity.delete(tunnel.party, tunnel);
    return this.#byId.delete(tunnel.tunnelId);
  }
}
