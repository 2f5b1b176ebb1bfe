import type { DeniedSubject, Principal } from "@sallyport/policy-engine";

/**
 * What hangs on whom: everything that a name, an instance, a serial or an issuer stands behind, found without a look at anything else. A cut then costs
 * what it cuts, however much else runs.
 */
export class IdentityIndex<T> {
  readonly #bySubject = new Map<string, Set<T>>();

  add(principal: Principal, item: T): void {
    for (const key of keysOf(principal)) {
      const items = this.#bySubject.get(key);
      if (items === undefined) this.#bySubject.set(key, new Set([item]));
      else items.add(item);
    }
  }

  delete(principal: Principal, item: T): void {
    for (const key of keysOf(principal)) {
      const items = this.#bySubject.get(key);
      if (items?.delete(item) === true && items.size === 0) this.#bySubject.delete(key);
    }
  }

  count(subject: DeniedSubject): number {
    return this.#bySubject.get(keyOf(subject))?.size ?? 0;
  }

  /** A copy: what is done with the items may take them out of the index. */
  of(subject: DeniedSubject): readonly T[] {
    return [...(this.#bySubject.get(keyOf(subject)) ?? [])];
  }
}

function keysOf({ identity, serial, issuers }: Principal): readonly string[] {
  const keys = [`instance:${identity.id.uri}`, `serial:${serial}`, ...issuers.map((issuer) => `issuer:${issuer}`)];
  return identity.kind === "workload" ? [...keys, `name:${identity.name}`] : keys;
}

function keyOf({ kind, value }: DeniedSubject): string {
  return `${kind}:${value}`;
}
