import { connect, type Socket } from "node:net";
import { sourceKey } from "./source-admission.ts";

export interface PassthroughLimits {
  readonly maxPassthroughs: number;
  readonly maxPassthroughsPerSource: number;
  readonly passthroughMs: number;
  readonly maxPassthroughBytes: number;
}

export type PassthroughRefusal = "enrollments" | "source-enrollments";

/** Taken by one enrollment; given back once, by its end or for another source's. */
interface Place extends Disposable {
  evict(): void;
}

/**
 * The way of a workload without an identity: its bytes, ClientHello included, go to enrollment's own TLS untouched and unread.
 * Bounded in number, per source, in time and in bytes, since nobody is known on it. When all places are taken, the source with most of them gives
 * up its oldest for one that has fewer.
 */
export class EnrollmentPassthrough {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #limits: PassthroughLimits;
  readonly #bySource = new Map<string, Set<Place>>();
  #open = 0;

  constructor(target: { readonly host: string; readonly port: number }, limits: PassthroughLimits) {
    this.#target = target;
    this.#limits = limits;
  }

  /** Resolves when both sides are gone, or with why there was no place. Never rejects: a broken enrollment is not the router's fault. */
  async relay(client: Socket, signal: AbortSignal): Promise<PassthroughRefusal | null> {
    const source = sourceKey(client.remoteAddress ?? "");
    const refused = this.#refusedBecause(source);
    if (refused !== null) return refused;
    const upstream = connect(this.#target);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    using _place = this.#take(source, cut);
    const ends = AbortSignal.any([signal, AbortSignal.timeout(this.#limits.passthroughMs)]);
    ends.addEventListener("abort", cut, { once: true });
    try {
      const closed = Promise.all([closedOf(client), closedOf(upstream)]);
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#bound(from, cut);
        from.on("error", cut);
        from.on("close", () => to.destroySoon());
        from.pipe(to);
      }
      await closed;
    } finally {
      ends.removeEventListener("abort", cut);
    }
    return null;
  }

  #refusedBecause(source: string): PassthroughRefusal | null {
    const own = this.#bySource.get(source)?.size ?? 0;
    if (own >= this.#limits.maxPassthroughsPerSource) return "source-enrollments";
    if (this.#open < this.#limits.maxPassthroughs) return null;
    const largest = [...this.#bySource.values()].reduce((most, places) => (places.size > most.size ? places : most));
    const [oldest] = largest;
    if (oldest === undefined || largest.size <= own + 1) return "enrollments";
    oldest.evict();
    return null;
  }

  #take(source: string, cut: () => void): Place {
    const places = this.#bySource.get(source) ?? new Set<Place>();
    const release = (): void => {
      if (!places.delete(place)) return;
      if (places.size === 0) this.#bySource.delete(source);
      this.#open -= 1;
    };
    const evict = (): void => {
      release();
      cut();
    };
    const place: Place = { evict, [Symbol.dispose]: release };
    this.#bySource.set(source, places.add(place));
    this.#open += 1;
    return place;
  }

  #bound(from: Socket, cut: () => void): void {
    let bytes = 0;
    from.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > this.#limits.maxPassthroughBytes) cut();
    });
  }
}

async function closedOf(socket: Socket): Promise<void> {
  if (socket.closed) return;
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}
