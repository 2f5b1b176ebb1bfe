import type { Circuit } from "./circuit.ts";
import type { HostEntry } from "./host-entry.ts";
import type { RouterTunnel } from "./router-tunnel.ts";

/** What came to be or changed on this router, or what is gone. */
export type Change =
  | { readonly kind: "tunnel"; readonly tunnel: RouterTunnel }
  | { readonly kind: "tunnel-gone"; readonly tunnel: RouterTunnel }
  | { readonly kind: "circuit"; readonly circuit: Circuit }
  | { readonly kind: "circuit-gone"; readonly circuit: Circuit }
  | { readonly kind: "host"; readonly entry: HostEntry }
  | { readonly kind: "host-gone"; readonly entry: HostEntry };

/** Tells whoever watches this router. Nobody watching costs nothing. */
export class ChangeFeed {
  readonly #listeners = new Set<(change: Change) => void>();

  tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** Calls back in the turn of each change. The answer ends it. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
