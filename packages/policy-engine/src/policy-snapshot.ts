import { sha256Hex } from "@sallyport/identity";
import { DenyList, Slice, type DenyEntry, type Head } from "@sallyport/proto/policy";
import type { Principal } from "./decision.ts";
import { DenyIndex, type DeniedSubject } from "./deny-index.ts";
import { readHead, type HeadInForce } from "./head-in-force.ts";
import { NO_CHANGE, type PolicyChange } from "./policy-change.ts";
import { PolicyError } from "./policy-error.ts";
import { SliceInForce } from "./slice-in-force.ts";

// Invariants
// 1. A slice decides only while its digest is in the head in force. The head names no service: a slice outside of it may have a successor that
//    is on its way, or its service may be gone.
// 2. A deny-list denies from the moment it arrives; it stops denying only by a newer one that the head names.
// 3. A slice is parsed before it waits, so that a head which lists it cannot fail half way.
// 4. Nothing goes back: not the head's sequence, not a slice's version, not the deny-list's, not the policy's. A head lists everything up to
//    its policy version, so that a slice of that version or an older one which it does not list is an old one.
// 5. Who is given all slices and holds each one of the head knows by the head's signature that everything else is gone.

/** How far a signer's clock may be ahead of ours. */
const MAX_CLOCK_SKEW_MS = 60_000;

/** `all`: every slice of the head is on its way here. `subscribed`: only those of some services. */
export type SliceScope = "all" | "subscribed";

interface HeldDenyList {
  readonly index: DenyIndex;
  readonly digest: string;
}

export type SliceLookup =
  | { readonly kind: "found"; readonly slice: SliceInForce }
  | { readonly kind: "unknown" }
  /** What is held of this service is not in the head. */
  | { readonly kind: "stale"; readonly version: number }
  /** Slices of the head have not arrived, and one of them may be of this service. */
  | { readonly kind: "incomplete"; readonly missing: number };

/** Payloads of verified envelopes, put together: what is in force and what waits for the head that lists it. */
export class PolicySnapshot {
  readonly #scope: SliceScope;
  #head: HeadInForce | null = null;
  #denyList: HeldDenyList | null = null;
  #nextDenyList: HeldDenyList | null = null;
  readonly #slices = new Map<string, SliceInForce>();
  readonly #nextSlices = new Map<string, SliceInForce>();
  /** Versions of slices that a head put out of force, until their successor arrives or their service is known to be gone. */
  readonly #staleSlices = new Map<string, number>();

  constructor(scope: SliceScope) {
    this.#scope = scope;
  }

  get head(): Head | null {
    return this.#head?.head ?? null;
  }

  /** The list that the head names, if it has arrived. */
  get denyListVersion(): number {
    return this.denyListIsCurrent() ? (this.#denyList?.index.version ?? 0) : 0;
  }

  denyListIsCurrent(): boolean {
    return this.#denyList !== null && this.#denyList.digest === this.#head?.denyListDigest;
  }

  denied(principal: Principal): DenyEntry | null {
    return this.#denyList?.index.find(principal) ?? this.#nextDenyList?.index.find(principal) ?? null;
  }

  slice(service: string): SliceLookup {
    const slice = this.#slices.get(service);
    if (slice !== undefined) return { kind: "found", slice };
    const version = this.#staleSlices.get(service) ?? this.#nextSlices.get(service)?.slice.version;
    if (version !== undefined) return { kind: "stale", version };
    const missing = this.#scope === "all" ? this.#missing() : 0;
    return missing > 0 ? { kind: "incomplete", missing } : { kind: "unknown" };
  }

  takeSlice(payload: Buffer): PolicyChange {
    const slice = Slice.decode(payload);
    const digest = sha256Hex(payload);
    const { service, version } = slice;
    const held = this.#slices.get(service);
    const next = this.#nextSlices.get(service);
    if (digest === held?.digest || digest === next?.digest) return NO_CHANGE;
    const newest = Math.max(held?.slice.version ?? 0, next?.slice.version ?? 0, this.#staleSlices.get(service) ?? 0);
    if (version < newest) throw replayed(`slice ${version} of ${service}`, newest);
    const listed = this.#head?.slices.get(digest);
    if (listed === undefined) {
      const covered = this.#head?.head.policyVersion ?? 0;
      if (version <= covered) throw replayed(`slice ${version} of ${service}, which the head does not list,`, covered); // 4
      this.#wait(service, new SliceInForce(slice, digest));
      return NO_CHANGE;
    }
    if (listed !== version)
      throw new PolicyError("DIGEST_MISMATCH", `slice ${version} of ${service} is in the head as ${listed}`);
    this.#enforce(service, new SliceInForce(slice, digest));
    return { ...NO_CHANGE, services: [service, ...this.#forgetGone()] };
  }

  takeDenyList(payload: Buffer): PolicyChange {
    const list = new DenyIndex(DenyList.decode(payload));
    const digest = sha256Hex(payload);
    if (digest === this.#denyList?.digest || digest === this.#nextDenyList?.digest) return NO_CHANGE;
    const denied = list.subjects.filter((subject) => !this.#namesAlready(subject));
    const newest = Math.max(
      this.#denyList?.index.version ?? 0,
      this.#nextDenyList?.index.version ?? 0,
      this.#head?.head.denyListVersion ?? 0,
    );
    if (list.version < newest) throw replayed(`deny-list ${list.version}`, newest);
    if (this.#head !== null && list.version === this.#head.head.denyListVersion) {
      if (digest !== this.#head.denyListDigest)
        throw new PolicyError("DIGEST_MISMATCH", `deny-list ${list.version} is not the one that the head names`);
      this.#denyList = { index: list, digest };
      this.#nextDenyList = null;
    } else {
      this.#nextDenyList = { index: list, digest };
    }
    return { ...NO_CHANGE, denyListChanged: true, denied };
  }

  takeHead(payload: Buffer, nowMs: number): PolicyChange {
    const next = readHead(payload);
    this.#checkHead(next, nowMs);
    if (next.digest === this.#head?.digest) return NO_CHANGE;
    this.#head = next;
    const denyListChanged = this.#promoteDenyList(next);
    const services = new Set([...this.#promoteSlices(next), ...this.#forgetGone()]);
    return { ...NO_CHANGE, services: [...services], denyListChanged, headAdvanced: true };
  }

  removeSlice(service: string): PolicyChange {
    this.#stopWaiting(service);
    const wasStale = this.#staleSlices.delete(service);
    return this.#drop(service) || wasStale ? { ...NO_CHANGE, services: [service] } : NO_CHANGE;
  }

  #namesAlready(subject: DeniedSubject): boolean {
    return this.#denyList?.index.names(subject) === true || this.#nextDenyList?.index.names(subject) === true;
  }

  #checkHead({ head, digest }: HeadInForce, nowMs: number): void {
    if (head.timeUnixMs > nowMs + MAX_CLOCK_SKEW_MS)
      throw new PolicyError(
        "HEAD_FROM_FUTURE",
        `head ${head.sequence} is ${head.timeUnixMs - nowMs} ms ahead of this clock`,
      );
    if (this.#head === null || digest === this.#head.digest) return;
    const before = this.#head.head;
    if (head.sequence <= before.sequence) throw replayed(`head ${head.sequence}`, before.sequence);
    if (head.policyVersion < before.policyVersion)
      throw replayed(`policy ${head.policyVersion} of head ${head.sequence}`, before.policyVersion);
    if (head.denyListVersion < before.denyListVersion)
      throw replayed(`deny-list ${head.denyListVersion} of head ${head.sequence}`, before.denyListVersion);
  }

  #promoteDenyList(head: HeadInForce): boolean {
    if (this.#nextDenyList === null) return false;
    if (this.#nextDenyList.digest === head.denyListDigest) {
      this.#denyList = this.#nextDenyList;
      this.#nextDenyList = null;
      return true;
    }
    if (this.#nextDenyList.index.version <= head.head.denyListVersion) this.#nextDenyList = null;
    return false;
  }

  #promoteSlices({ head, slices }: HeadInForce): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const [service, { digest, slice }] of this.#slices) {
      if (slices.has(digest)) continue;
      this.#drop(service);
      this.#staleSlices.set(service, slice.version);
      changed.add(service);
    }
    for (const [service, waiting] of this.#nextSlices) {
      const { version } = waiting.slice;
      if (slices.get(waiting.digest) === version) {
        this.#enforce(service, waiting);
        changed.add(service);
      } else if (version <= head.policyVersion) {
        this.#stopWaiting(service);
        this.#staleSlices.set(service, version);
      }
    }
    return changed;
  }

  /** Slices of the head that are not here. One in force is in the head (1), and no two services share a digest. */
  #missing(): number {
    return this.#head === null ? 0 : this.#head.slices.size - this.#slices.size;
  }

  /** The services of which it is now certain that they are gone (5). */
  #forgetGone(): readonly string[] {
    if (this.#scope === "subscribed" || this.#missing() > 0) return [];
    const gone = [...this.#staleSlices.keys()];
    this.#staleSlices.clear();
    return gone;
  }

  #enforce(service: string, slice: SliceInForce): void {
    this.#drop(service);
    this.#staleSlices.delete(service);
    if (this.#nextSlices.get(service) === slice) this.#nextSlices.delete(service);
    else this.#stopWaiting(service);
    this.#slices.set(service, slice);
  }

  #wait(service: string, slice: SliceInForce): void {
    this.#stopWaiting(service);
    this.#nextSlices.set(service, slice);
  }

  #stopWaiting(service: string): void {
    this.#nextSlices.get(service)?.[Symbol.dispose]();
    this.#nextSlices.delete(service);
  }

  #drop(service: string): boolean {
    this.#slices.get(service)?.[Symbol.dispose]();
    return this.#slices.delete(service);
  }
}

function replayed(what: string, newest: number): PolicyError {
  return new PolicyError("REPLAYED", `${what} is older than what is in force (${newest})`);
}
