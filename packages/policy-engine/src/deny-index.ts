import type { DenyEntry, DenyList } from "@sallyport/proto/policy";
import type { Principal } from "./decision.ts";

/** A deny-list made ready to be asked at every handshake, dial and call. */
export class DenyIndex {
  readonly version: number;
  readonly #byName = new Map<string, DenyEntry>();
  readonly #byInstance = new Map<string, DenyEntry>();
  readonly #bySerial = new Map<string, DenyEntry>();
  readonly #byIssuer = new Map<string, DenyEntry>();

  constructor(list: DenyList) {
    this.version = list.version;
    for (const entry of list.entries) {
      const kind = entry.subject?.kind;
      switch (kind?.$case) {
        case "name":
          this.#byName.set(kind.value, entry);
          break;
        case "instance":
          this.#byInstance.set(kind.value, entry);
          break;
        case "serial":
          this.#bySerial.set(kind.value, entry);
          break;
        case "issuer":
          this.#byIssuer.set(kind.value, entry);
          break;
        case undefined:
          break;
      }
    }
  }

  /** The entry that denies the principal, if any. Names are those of workloads; an instance may be any SPIFFE ID. */
  find({ identity, serial, issuers }: Principal): DenyEntry | null {
    const named = identity.kind === "workload" ? this.#byName.get(identity.name) : undefined;
    const found = named ?? this.#byInstance.get(identity.id.uri) ?? this.#bySerial.get(serial);
    if (found !== undefined) return found;
    for (const issuer of issuers) {
      const entry = this.#byIssuer.get(issuer);
      if (entry !== undefined) return entry;
    }
    return null;
  }
}
