import type { DenyEntry, DenyList } from "@sallyport/proto/policy";
import type { Principal } from "./decision.ts";

/** What an entry of the deny-list names. */
export interface DeniedSubject {
  readonly kind: "name" | "instance" | "serial" | "issuer";
  readonly value: string;
}

/** A deny-list made ready to be asked at every handshake, dial and call. */
export class DenyIndex {
  readonly version: number;
  readonly subjects: readonly DeniedSubject[];
  readonly #entries: Readonly<Record<DeniedSubject["kind"], Map<string, DenyEntry>>> = {
    name: new Map(),
    instance: new Map(),
    serial: new Map(),
    issuer: new Map(),
  };

  constructor(list: DenyList) {
    this.version = list.version;
    this.subjects = list.entries.flatMap((entry) => {
      const kind = entry.subject?.kind;
      if (kind === undefined) return [];
      this.#entries[kind.$case].set(kind.value, entry);
      return [{ kind: kind.$case, value: kind.value }];
    });
  }

  names({ kind, value }: DeniedSubject): boolean {
    return this.#entries[kind].has(value);
  }

  /** The entry that denies the principal, if any. Names are those of workloads; an instance may be any SPIFFE ID. */
  find({ identity, serial, issuers }: Principal): DenyEntry | null {
    const { name, instance, serial: bySerial, issuer: byIssuer } = this.#entries;
    const named = identity.kind === "workload" ? name.get(identity.name) : undefined;
    const found = named ?? instance.get(identity.id.uri) ?? bySerial.get(serial);
    if (found !== undefined) return found;
    for (const issuer of issuers) {
      const entry = byIssuer.get(issuer);
      if (entry !== undefined) return entry;
    }
    return null;
  }
}
