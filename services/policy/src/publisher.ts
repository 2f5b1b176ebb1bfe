import type { Svid, SvidSource } from "@sallyport/identity";
import { createHead, HEAD_TYPE, sealEnvelope } from "@sallyport/policy-engine";
import { Head } from "@sallyport/proto/policy";
import { itemsOf, type Item, type Publication } from "./domain/publication.ts";
import { PublishingError } from "./errors.ts";
import { slicesOf } from "./domain/stored-policy.ts";
import type { PolicySource } from "./store/policy-source.ts";
import { DENY_LIST_KEY, HEAD_KEY, sliceKey, type PublishedPolicy } from "./store/published-policy.ts";

// Any number of replicas publish, none leads.
//
// 1. What is published follows from the source alone, so that two replicas that read the same source write the same payloads.
// 2. Every write is a compare-and-set, and nothing is written over a newer version: whoever finds one reads the source again.
// 3. Slices and deny-list are written before the head that lists them; a head is written only if it goes back in nothing.
// 4. A head's sequence is at least the time in milliseconds, so that it grows even if the bucket was lost.

/** An envelope is signed anew when its signer's certificate has less than this left: longer than routers keep deciding by an old head. */
const RESEAL_BEFORE_EXPIRY_MS = 25 * 60_000;
/** What the bus holds is compared with the source at least this often, whatever happened to it meanwhile. */
const RECHECK_MS = 60_000;
/** Each conflict means that another replica got something done. */
const MAX_ATTEMPTS = 50;

interface Reconciled {
  readonly documentRevision: number;
  readonly denyListRevision: number;
  readonly publication: Publication;
  /** By key: what is known to be on the bus, so that one change does not read all the others. */
  readonly payloads: ReadonlyMap<string, Uint8Array>;
  /** When the bus must be looked at again: the first of its envelopes is due to be signed anew by then, at the latest. */
  readonly recheckAtMs: number;
}

/** Makes the bucket `policy` say what the source says, and says so in a new head. */
export class Publisher {
  readonly #source: PolicySource;
  readonly #published: PublishedPolicy;
  readonly #identity: SvidSource;
  #reconciled: Reconciled | null = null;
  #running: Promise<Head> | null = null;
  #waiting: Promise<Head> | null = null;

  constructor(options: {
    readonly source: PolicySource;
    readonly published: PublishedPolicy;
    readonly identity: SvidSource;
  }) {
    this.#source = options.source;
    this.#published = options.published;
    this.#identity = options.identity;
  }

  /**
   * Resolves with a head that covers everything that was in the source when this was called.
   * Calls that wait for a running publication share the next one.
   */
  publish(): Promise<Head> {
    if (this.#waiting !== null) return this.#waiting;
    if (this.#running === null) return this.#run();
    this.#waiting = this.#running.then(
      () => this.#runNext(),
      () => this.#runNext(),
    );
    return this.#waiting;
  }

  #runNext(): Promise<Head> {
    this.#waiting = null;
    return this.#run();
  }

  #run(): Promise<Head> {
    const running = this.#publish().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  async #publish(): Promise<Head> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const before = this.#reconciled;
      const publication = await this.#reconcile();
      const head = publication === null ? null : await this.#announce(publication);
      if (publication !== null && head !== null) {
        if (this.#reconciled !== before) await this.#published.removeOtherSlices(new Set(publication.slices.keys()));
        return head;
      }
      this.#reconciled = null;
    }
    throw new PublishingError("CONTENDED", "what is published stays newer than what policy-source says", {
      remedy:
        "Try again; if it stays, policy-source was lost: restore it, or remove the bucket policy and restart the routers.",
    });
  }

  #ownSvid(): Svid {
    const svid = this.#identity.current();
    if (svid.notAfter.getTime() > Date.now()) return svid;
    throw new PublishingError("SVID_EXPIRED", "the own certificate has expired", {
      remedy: "Check that ca runs and is reachable.",
    });
  }

  /** Null when something newer is on the bus than the source said when it was read. */
  async #reconcile(): Promise<Publication | null> {
    const [policy, denyList] = [await this.#source.readPolicy(), await this.#source.readDenyList()];
    const revisions = {
      documentRevision: policy.entry?.revision ?? 0,
      denyListRevision: denyList.entry?.revision ?? 0,
    };
    const known = this.#reconciled;
    const sameDocument = known?.documentRevision === revisions.documentRevision;
    const recheck = known === null || Date.now() >= known.recheckAtMs;
    if (!recheck && sameDocument && known.denyListRevision === revisions.denyListRevision) return known.publication;
    const slices = sameDocument ? known.publication.slices : slicesOf(policy.value);
    const publication = { policyVersion: policy.value.version, slices, denyList: denyList.value };
    const payloads = new Map<string, Uint8Array>();
    let recheckAtMs = recheck ? Date.now() + RECHECK_MS : known.recheckAtMs;
    for (const item of itemsOf(publication, { denyList: DENY_LIST_KEY, slice: sliceKey })) {
      payloads.set(item.key, item.payload);
      if (!recheck && equal(known.payloads.get(item.key), item.payload)) continue;
      const sealedUntilMs = await this.#put(item);
      if (sealedUntilMs === null) return null;
      recheckAtMs = Math.min(recheckAtMs, sealedUntilMs - RESEAL_BEFORE_EXPIRY_MS);
    }
    this.#reconciled = { ...revisions, publication, payloads, recheckAtMs };
    return publication;
  }

  /** When the signer's certificate expires; null on a conflict. */
  async #put({ key, type, payload, version, versionOf }: Item): Promise<number | null> {
    const svid = this.#ownSvid();
    const ownNotAfterMs = svid.notAfter.getTime();
    const before = await this.#published.read(key, type);
    if (before?.verified) {
      const { payload: held, signerNotAfterMs } = before.verified;
      if (versionOf(held) > version) return null;
      const lasts = signerNotAfterMs - RESEAL_BEFORE_EXPIRY_MS > Date.now() || signerNotAfterMs >= ownNotAfterMs;
      if (held.equals(payload) && lasts) return signerNotAfterMs;
    }
    const written = await this.#published.write(key, sealEnvelope(type, payload, svid), before);
    return written === "written" ? ownNotAfterMs : null;
  }

  async #announce({ policyVersion, slices, denyList }: Publication): Promise<Head | null> {
    const before = await this.#published.read(HEAD_KEY, HEAD_TYPE);
    const last = before?.verified ? Head.decode(before.verified.payload) : null;
    if (last !== null && (last.policyVersion > policyVersion || last.denyListVersion > denyList.version)) return null;
    const timeUnixMs = Date.now();
    const head = createHead({
      sequence: Math.max((last?.sequence ?? 0) + 1, timeUnixMs),
      timeUnixMs,
      policyVersion,
      slices,
      denyList,
    });
    const envelope = sealEnvelope(HEAD_TYPE, Head.encode(head).finish(), this.#ownSvid());
    return (await this.#published.write(HEAD_KEY, envelope, before)) === "written" ? head : null;
  }
}

function equal(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
