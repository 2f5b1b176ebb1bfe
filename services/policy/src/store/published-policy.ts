import type { TrustBundle } from "@sallyport/identity";
import { openEnvelope, type PayloadType } from "@sallyport/policy-engine";
import { SignedEnvelope } from "@sallyport/proto/policy";
import type { CasBucket, Entry } from "./cas-bucket.ts";

export const HEAD_KEY = "head";
export const DENY_LIST_KEY = "denylist";
const SLICE_KEYS = "slice.*";

export function sliceKey(service: string): string {
  return `slice.${service}`;
}

/** What the bus holds under a key. */
export interface Published {
  readonly entry: Entry;
  readonly envelope: SignedEnvelope;
  /** Null when its signature does not hold now: expired, tampered with, or of another trust domain. */
  readonly verified: { readonly payload: Buffer; readonly signerNotAfterMs: number } | null;
}

/** The bucket `policy`, which routers watch. */
export class PublishedPolicy {
  readonly #bucket: CasBucket;
  readonly #bundle: () => TrustBundle;

  constructor(bucket: CasBucket, bundle: () => TrustBundle) {
    this.#bucket = bucket;
    this.#bundle = bundle;
  }

  async read(key: string, type: PayloadType): Promise<Published | null> {
    const entry = await this.#bucket.read(key);
    if (entry === null) return null;
    const envelope = decode(entry.value);
    return { entry, envelope, verified: this.#verify(envelope, type) };
  }

  async write(key: string, envelope: SignedEnvelope, before: Published | null): Promise<"written" | "conflict"> {
    return await this.#bucket.write(key, SignedEnvelope.encode(envelope).finish(), before?.entry ?? null);
  }

  /** Takes slices away that are of no service in `services`. */
  async removeOtherSlices(services: ReadonlySet<string>): Promise<void> {
    const kept = new Set([...services].map(sliceKey));
    for (const key of await this.#bucket.keys(SLICE_KEYS)) {
      if (kept.has(key)) continue;
      const entry = await this.#bucket.read(key);
      if (entry !== null) await this.#bucket.remove(key, entry);
    }
  }

  #verify(envelope: SignedEnvelope, type: PayloadType): Published["verified"] {
    try {
      const { payloadType, payload, signer } = openEnvelope(envelope, this.#bundle(), new Date());
      return payloadType === type ? { payload, signerNotAfterMs: signer.notAfter.getTime() } : null;
    } catch {
      return null;
    }
  }
}

function decode(bytes: Uint8Array): SignedEnvelope {
  try {
    return SignedEnvelope.decode(bytes);
  } catch {
    return { payloadType: "", payload: Buffer.alloc(0), certificateChain: [], signature: Buffer.alloc(0) };
  }
}
