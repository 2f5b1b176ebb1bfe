import { connect, type Socket } from "node:net";

export interface PassthroughLimits {
  readonly maxPassthroughs: number;
  readonly passthroughMs: number;
  readonly maxPassthroughBytes: number;
}

/**
 * The way of a workload without an identity: its bytes, ClientHello included, go to enrollment's own TLS untouched and unread.
 * Bounded in number, time and bytes, since nobody is known on it.
 */
export class EnrollmentPassthrough {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #limits: PassthroughLimits;
  #open = 0;

  constructor(target: { readonly host: string; readonly port: number }, limits: PassthroughLimits) {
    this.#target = target;
    this.#limits = limits;
  }

  /** Resolves when both sides are gone. Never rejects: a broken enrollment is not the router's fault. */
  async relay(client: Socket, signal: AbortSignal): Promise<void> {
    if (this.#open >= this.#limits.maxPassthroughs) return void client.destroy();
    this.#open += 1;
    const upstream = connect(this.#target);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
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
      this.#open -= 1;
    }
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
