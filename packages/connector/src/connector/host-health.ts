/** What an adapter says of what it hosts: whether a circuit that came now would be served. */
export type HostHealth = { readonly kind: "up" } | { readonly kind: "down"; readonly reason: string };

export const up: HostHealth = { kind: "up" };

export function down(reason: string): HostHealth {
  return { kind: "down", reason };
}

/** However many routers ask however often, what is hosted is looked at once in that time. */
const maxAgeMs = 1_000;

/** Remembers the last answer of a check for a second, and lets all who ask meanwhile share one. */
export class CachedHealth {
  readonly #check: () => Promise<HostHealth>;
  #known: { readonly health: HostHealth; readonly at: number } | undefined;
  #checking: Promise<HostHealth> | undefined;

  /** A check that rejects counts as down. */
  constructor(check: () => Promise<HostHealth>) {
    this.#check = check;
  }

  async ask(): Promise<HostHealth> {
    if (this.#known !== undefined && performance.now() - this.#known.at < maxAgeMs) return this.#known.health;
    this.#checking ??= this.#look();
    return await this.#checking;
  }

  /** Takes what was seen in real use, in place of the next check. */
  learn(health: HostHealth): void {
    this.#known = { health, at: performance.now() };
  }

  async #look(): Promise<HostHealth> {
    const health = await this.#check().catch((error: unknown) =>
      down(error instanceof Error ? error.message : String(error)),
    );
    this.#checking = undefined;
    this.learn(health);
    return health;
  }
}
