import { DenyList } from "@sallyport/proto/policy";
import { EMPTY_DENY_LIST } from "../domain/deny-list.ts";
import { decodeStoredPolicy, encodeStoredPolicy, NO_POLICY, type StoredPolicy } from "../domain/stored-policy.ts";
import { PublishingError } from "../errors.ts";
import type { CasBucket, Entry } from "./cas-bucket.ts";

/** A value of the bucket `policy-source` and the entry that a change of it must still find. */
export interface Sourced<T> {
  readonly value: T;
  readonly entry: Entry | null;
}

/** Each conflict means that another replica got its change in. */
const MAX_ATTEMPTS = 100;
const DOCUMENT_KEY = "document";
const DENY_LIST_KEY = "deny-list";

/** What is true: the document and the deny-list. Everything that is published follows from it. */
export class PolicySource {
  readonly #bucket: CasBucket;

  constructor(bucket: CasBucket) {
    this.#bucket = bucket;
  }

  async readPolicy(): Promise<Sourced<StoredPolicy>> {
    const entry = await this.#bucket.read(DOCUMENT_KEY);
    return { value: entry === null ? NO_POLICY : decoded(DOCUMENT_KEY, () => decodeStoredPolicy(entry.value)), entry };
  }

  async readDenyList(): Promise<Sourced<DenyList>> {
    const entry = await this.#bucket.read(DENY_LIST_KEY);
    return {
      value: entry === null ? EMPTY_DENY_LIST : decoded(DENY_LIST_KEY, () => DenyList.decode(entry.value)),
      entry,
    };
  }

  /**
   * Applies `change` to what is in force until no other replica came between.
   * @param change is called anew after each conflict; returning its argument changes nothing.
   */
  async changePolicy(change: (policy: StoredPolicy) => StoredPolicy): Promise<StoredPolicy> {
    return await this.#change(DOCUMENT_KEY, () => this.readPolicy(), change, encodeStoredPolicy);
  }

  async changeDenyList(change: (list: DenyList) => DenyList): Promise<DenyList> {
    return await this.#change(
      DENY_LIST_KEY,
      () => this.readDenyList(),
      change,
      (list) => DenyList.encode(list).finish(),
    );
  }

  async #change<T>(
    key: string,
    read: () => Promise<Sourced<T>>,
    change: (value: T) => T,
    encode: (value: T) => Uint8Array,
  ): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { value, entry } = await read();
      const next = change(value);
      if (next === value || (await this.#bucket.write(key, encode(next), entry)) === "written") return next;
    }
    throw new PublishingError("CONTENDED", `other replicas changed the ${key} ${MAX_ATTEMPTS} times in a row`, {
      remedy: "Try again.",
    });
  }
}

function decoded<T>(key: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new PublishingError("SOURCE_CORRUPT", `the ${key} in the bucket policy-source cannot be read`, {
      remedy: "Restore an earlier revision of the key; the bucket keeps the last ones.",
      cause,
    });
  }
}
