import { sha256Hex } from "@sallyport/identity";
import { DenyList, Head, Slice, type DenyEntry } from "@sallyport/proto/policy";
import type { Principal } from "./decision.ts";
import { DenyIndex } from "./deny-index.ts";
import { NO_CHANGE, type PolicyChange } from "./policy-change.ts";
import { PolicyError } from "./policy-error.ts";
import { SliceInForce } from "./slice-in-force.ts";

// Invariants
// 1. A slice decides only while its digest is the one that the head in force names for its service.
// 2. A deny-list denies from the moment it arrives; it stops denying only by a newer one that the head names.
// 3. A slice is parsed before it waits, so that a head which names it cannot fail half way.
// 4. Nothing goes back: not the head's sequence, not a slice's version, not the deny-list's, not the policy's.

/** How far a signer's clock may be ahead of ours. */
const MAX_CLOCK_SKEW_MS = 60_000;

interface HeadInForce {
  readonly head: Head;
  readonly digest: string;
  readonly slices: ReadonlyMap<string, { readonly version: number; readonly digest: string }>;
  readonly denyListDigest: string;
}

interface HeldDenyList {
  readonly index: DenyIndex;
  readonly digest: string;
}

export type SliceLookup =
  | { readonly kind: "found"; readonly slice: SliceInForce }
  | { readonly kind: "unknown" }
  /** The head names a slice that has not arrived. */
  | { readonly kind: "withheld"; readonly version: number };

/** Payloads of verified envelopes, put together: what is in force and what waits for the head that names it. */
export class PolicySnapshot {
  #head: HeadInForce | null = null;
  #denyList: HeldDenyList | null = null;
  #nextDenyList: HeldDenyList | null = null;
  readonly #slices = new Map<string, SliceInForce>();
  readonly #nextSlices = new Map<string, SliceInForce>();

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
    const named = this.#head?.slices.get(service);
    return named === undefined ? { kind: "unknown" } : { kind: "withheld", version: named.version };
  }

  takeSlice(payload: Buffer): PolicyChange {
    const slice = Slice.decode(payload);
    const digest = sha256Hex(payload);
    const { service, version } = slice;
    const named = this.#head?.slices.get(service);
    const held = this.#slices.get(service);
    if (digest === held?.digest || digest === this.#nextSlices.get(service)?.digest) return NO_CHANGE;
    const gone = this.#head !== null && named === undefined ? this.#head.head.policyVersion : 0;
    const newest = Math.max(
      named?.version ?? 0,
      held?.slice.version ?? 0,
      this.#nextSlices.get(service)?.slice.version ?? 0,
    );
    if (version < newest || version <= gone) throw replayed(`slice ${version} of ${service}`, Math.max(newest, gone));
    if (named !== undefined && version === named.version) {
      if (digest !== named.digest)
        throw new PolicyError("DIGEST_MISMATCH", `slice ${version} of ${service} is not the one that the head names`);
      this.#enforce(service, new SliceInForce(slice, digest));
      return { ...NO_CHANGE, services: [service] };
    }
    this.#wait(service, new SliceInForce(slice, digest));
    return NO_CHANGE;
  }

  takeDenyList(payload: Buffer): PolicyChange {
    const list = new DenyIndex(DenyList.decode(payload));
    const digest = sha256Hex(payload);
    if (digest === this.#denyList?.digest || digest === this.#nextDenyList?.digest) return NO_CHANGE;
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
    return { ...NO_CHANGE, denyListChanged: true };
  }

  takeHead(payload: Buffer, nowMs: number): PolicyChange {
    const next = headInForce(payload);
    this.#checkHead(next, nowMs);
    if (next.digest === this.#head?.digest) return NO_CHANGE;
    this.#head = next;
    const denyListChanged = this.#promoteDenyList(next);
    return { services: this.#promoteSlices(next), denyListChanged, headAdvanced: true };
  }

  removeSlice(service: string): PolicyChange {
    this.#stopWaiting(service);
    return this.#drop(service) ? { ...NO_CHANGE, services: [service] } : NO_CHANGE;
  }

  #checkHead({ head, digest, slices }: HeadInForce, nowMs: number): void {
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
    for (const [service, { version }] of slices) {
      const held = this.#head.slices.get(service);
      if (held !== undefined && version < held.version)
        throw replayed(`slice ${version} of ${service} in head ${head.sequence}`, held.version);
    }
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

  #promoteSlices(head: HeadInForce): string[] {
    const changed = new Set<string>();
    for (const [service, held] of this.#slices) {
      if (held.digest !== head.slices.get(service)?.digest && this.#drop(service)) changed.add(service);
    }
    for (const [service, waiting] of this.#nextSlices) {
      const named = head.slices.get(service);
      if (waiting.digest === named?.digest) {
        this.#enforce(service, waiting);
        changed.add(service);
      } else if (waiting.slice.version <= (named?.version ?? head.head.policyVersion)) {
        this.#stopWaiting(service);
      }
    }
    return [...changed];
  }

  #enforce(service: string, slice: SliceInForce): void {
    this.#drop(service);
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

function headInForce(payload: Buffer): HeadInForce {
  const head = Head.decode(payload);
  const slices = Object.entries(head.slices).map(
    ([service, ref]) => [service, { version: ref.version, digest: hex(ref.digest) }] as const,
  );
  return { head, digest: sha256Hex(payload), slices: new Map(slices), denyListDigest: hex(head.denyListDigest) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function replayed(what: string, newest: number): PolicyError {
  return new PolicyError("REPLAYED", `${what} is older than what is in force (${newest})`);
}
