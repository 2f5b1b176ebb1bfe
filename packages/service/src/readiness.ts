/** A reason to wait; given back when it no longer holds. */
export interface ReadinessBlock extends Disposable {
  readonly reason: string;
}

export type ReadinessState = { readonly kind: "ready" } | { readonly kind: "waiting"; readonly for: readonly string[] };

/**
 * Ready when nobody holds a block: whoever has to wait for something says so by taking one.
 *
 * @example
 * using _ = readiness.block("policy snapshot");
 */
export class Readiness {
  readonly #blocks = new Set<ReadinessBlock>();
  readonly #listeners = new Set<(state: ReadinessState) => void>();

  /** @param reason what is waited for, as an operator would say it. */
  block(reason: string): ReadinessBlock {
    const block: ReadinessBlock = {
      reason,
      [Symbol.dispose]: () => {
        if (this.#blocks.delete(block)) this.#tell();
      },
    };
    this.#blocks.add(block);
    this.#tell();
    return block;
  }

  get state(): ReadinessState {
    if (this.#blocks.size === 0) return { kind: "ready" };
    return { kind: "waiting", for: [...this.#blocks].map((block) => block.reason) };
  }

  /** Calls `listener` now and at every change. */
  onChange(listener: (state: ReadinessState) => void): () => void {
    this.#listeners.add(listener);
    listener(this.state);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.state);
  }
}
