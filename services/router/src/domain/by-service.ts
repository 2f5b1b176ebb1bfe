/** Things by the service that they are about, so that a change of its policy reaches them and nothing else. */
export class ByService<T> {
  readonly #items = new Map<string, Set<T>>();

  add(service: string, item: T): void {
    const items = this.#items.get(service);
    if (items === undefined) this.#items.set(service, new Set([item]));
    else items.add(item);
  }

  delete(service: string, item: T): void {
    const items = this.#items.get(service);
    if (items?.delete(item) === true && items.size === 0) this.#items.delete(service);
  }

  /** A copy: what is done with the items may take them out. */
  of(service: string): readonly T[] {
    return [...(this.#items.get(service) ?? [])];
  }

  get services(): readonly string[] {
    return [...this.#items.keys()];
  }
}
