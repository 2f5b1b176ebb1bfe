import { v7 as uuidV7 } from "uuid";
import type { TrustBundle } from "@sallyport/identity";
import { Stickiness, type DenyEntry, type SignedEnvelope } from "@sallyport/proto/policy";
import { denial, type Decision, type DecisionCode, type Principal, type Verdict } from "./decision.ts";
import { DENY_LIST_TYPE, HEAD_TYPE, openEnvelope, SLICE_TYPE, type OpenedEnvelope } from "./envelope.ts";
import { isChange, type PolicyChange } from "./policy-change.ts";
import { PolicyError } from "./policy-error.ts";
import { PolicySnapshot, type SliceScope } from "./policy-snapshot.ts";
import type { SliceInForce } from "./slice-in-force.ts";

export interface PolicyStateOptions {
  /** Roots that a signer's chain must end in; asked for each envelope, since roots rotate. */
  readonly bundle: () => TrustBundle;
  /**
   * `all` for whoever is given every slice, as a router is: a service without one is unknown only once every slice of the head has arrived, and
   * HEAD_STALE until then. `subscribed` for whoever is given those of some services, as a connector is: any other service is unknown.
   */
  readonly scope: SliceScope;
  /** How old a head may be before nothing new is allowed. Default 900,000 (15 minutes). */
  readonly graceMs?: number;
  /** Milliseconds since 1970. Default: the system's clock. */
  readonly now?: () => number;
}

export type Freshness =
  | { readonly kind: "fresh"; readonly ageMs: number }
  /** Why nothing may be allowed just now, in one sentence. */
  | { readonly kind: "stale" | "missing"; readonly reason: string };

export interface PolicyVersions {
  readonly headSequence: number;
  readonly denyListVersion: number;
  readonly policyVersion: number;
}

const DEFAULT_GRACE_MS = 900_000;

/** Current, verified policy in the memory of a router or a connector. Decides without asking anybody; what it cannot tell, it denies. */
export class PolicyState {
  readonly #snapshot: PolicySnapshot;
  readonly #listeners = new Set<(change: PolicyChange) => void>();
  readonly #bundle: () => TrustBundle;
  readonly #graceMs: number;
  readonly #now: () => number;

  constructor(options: PolicyStateOptions) {
    this.#snapshot = new PolicySnapshot(options.scope);
    this.#bundle = options.bundle;
    this.#graceMs = options.graceMs ?? DEFAULT_GRACE_MS;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Takes a slice, a deny-list or a head, in any order. A slice waits for the head that lists it.
   * @throws {PolicyError} SIGNER_UNTRUSTED, SIGNER_FORBIDDEN, ENVELOPE_INVALID, REPLAYED, DIGEST_MISMATCH, HEAD_FROM_FUTURE; nothing has
   * changed then.
   */
  apply(envelope: SignedEnvelope): PolicyChange {
    const opened = openEnvelope(envelope, this.#bundle(), new Date(this.#now()));
    return this.#announce(decoding(opened, () => this.#take(opened)));
  }

  /** The service is gone from policy, by the word of whoever feeds this state: it can only take rights away. */
  removeSlice(service: string): PolicyChange {
    return this.#announce(this.#snapshot.removeSlice(service));
  }

  freshness(): Freshness {
    const { head } = this.#snapshot;
    if (head === null) return { kind: "missing", reason: "no policy head has arrived yet" };
    if (!this.#snapshot.denyListIsCurrent())
      return { kind: "missing", reason: `deny-list ${head.denyListVersion} has not arrived yet` };
    const ageMs = this.#now() - head.timeUnixMs;
    if (ageMs <= this.#graceMs) return { kind: "fresh", ageMs: Math.max(0, ageMs) };
    return {
      kind: "stale",
      reason: `the policy head is ${Math.round(ageMs / 1000)} s old; ${Math.round(this.#graceMs / 1000)} s are allowed`,
    };
  }

  /**
   * The deny-list's entry for the principal, by name, instance, serial or issuer.
   * Null as well while no deny-list has arrived: whoever admits somebody by this asks `freshness` first.
   */
  denied(principal: Principal): DenyEntry | null {
    return this.#snapshot.denied(principal);
  }

  decideDial(principal: Principal, service: string): Decision {
    return this.#decide(principal, service, (slice, workload) => slice.decideReach(workload, "dial"));
  }

  decideHost(principal: Principal, service: string): Decision {
    return this.#decide(principal, service, (slice, workload) => slice.decideReach(workload, "host"));
  }

  /** @param args the call's arguments as parsed from JSON; undefined counts as none. */
  decideCall(principal: Principal, service: string, tool: string, args: unknown): Decision {
    return this.#decide(principal, service, (slice, workload) => slice.decideCall(workload, tool, args));
  }

  /** Those of `names` that the principal could call with some arguments. */
  visibleTools(principal: Principal, service: string, names: readonly string[]): ReadonlySet<string> {
    const ready = this.#prepare(principal, service);
    if (ready.kind === "refused") return new Set();
    return new Set(names.filter((name) => ready.slice.isVisible(ready.workload, name)));
  }

  /** What policy says the service speaks, `mcp` or `tcp`; undefined while its slice is not here. */
  protocolOf(service: string): string | undefined {
    const found = this.#snapshot.slice(service);
    return found.kind === "found" ? found.slice.slice.protocol : undefined;
  }

  /** Whether a dialer's dials of the service are to go to the same host. False while its slice is not here. */
  sticksToHost(service: string): boolean {
    const found = this.#snapshot.slice(service);
    return found.kind === "found" && found.slice.slice.stickiness === Stickiness.STICKINESS_DIALER;
  }

  /** Calls back after each envelope that changed something. The answer ends the subscription. */
  onChange(listener: (change: PolicyChange) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** 0 for what has not arrived. */
  get versions(): PolicyVersions {
    const { head, denyListVersion } = this.#snapshot;
    return { headSequence: head?.sequence ?? 0, denyListVersion, policyVersion: head?.policyVersion ?? 0 };
  }

  #take({ payloadType, payload }: OpenedEnvelope): PolicyChange {
    switch (payloadType) {
      case SLICE_TYPE:
        return this.#snapshot.takeSlice(payload);
      case DENY_LIST_TYPE:
        return this.#snapshot.takeDenyList(payload);
      case HEAD_TYPE:
        return this.#snapshot.takeHead(payload, this.#now());
    }
  }

  #announce(change: PolicyChange): PolicyChange {
    if (isChange(change)) for (const listener of this.#listeners) listener(change);
    return change;
  }

  #decide(principal: Principal, service: string, ask: (slice: SliceInForce, workload: string) => Verdict): Decision {
    const start = process.hrtime.bigint();
    const ready = this.#prepare(principal, service);
    const verdict = ready.kind === "refused" ? ready.verdict : ask(ready.slice, ready.workload);
    const decideUs = Number((process.hrtime.bigint() - start) / 1_000n);
    return { ...verdict, decisionId: uuidV7({ msecs: this.#now() }), decideUs };
  }

  /** What every decision needs first: an identity that is not denied, a fresh head, and a slice that it lists. */
  #prepare(principal: Principal, service: string): Prepared {
    const { identity } = principal;
    const entry = this.#snapshot.denied(principal);
    if (entry !== null)
      return refused(
        "IDENTITY_DENIED",
        `${identity.id.uri} is revoked${entry.reason === "" ? "" : `: ${entry.reason}`}`,
      );
    if (identity.kind !== "workload" || identity.id.trustDomain !== this.#bundle().trustDomain) {
      return refused("IDENTITY_DENIED", `${identity.id.uri} is not a workload of this trust domain`);
    }
    const freshness = this.freshness();
    if (freshness.kind !== "fresh") return refused("HEAD_STALE", freshness.reason);
    const found = this.#snapshot.slice(service);
    if (found.kind === "unknown") return refused("SERVICE_UNKNOWN", `policy knows no service ${service}`);
    if (found.kind === "stale")
      return refused("HEAD_STALE", `slice ${found.version} of ${service} is not in the policy head`);
    if (found.kind === "incomplete")
      return refused("HEAD_STALE", `slices of the policy head have not arrived yet: ${found.missing}`);
    const { needsDenyList, version } = found.slice.slice;
    if (needsDenyList > this.#snapshot.denyListVersion) {
      return refused("HEAD_STALE", `slice ${version} of ${service} needs deny-list ${needsDenyList}`, version);
    }
    return { kind: "ready", slice: found.slice, workload: identity.name };
  }
}

type Prepared =
  | { readonly kind: "ready"; readonly slice: SliceInForce; readonly workload: string }
  | { readonly kind: "refused"; readonly verdict: Verdict };

function refused(code: Exclude<DecisionCode, "">, reason: string, sliceVersion = 0): Prepared {
  return { kind: "refused", verdict: denial(code, reason, sliceVersion) };
}

/** The payload was signed by policy, yet may be of a form that this version cannot read. */
function decoding(opened: OpenedEnvelope, take: () => PolicyChange): PolicyChange {
  try {
    return take();
  } catch (cause) {
    if (cause instanceof PolicyError) throw cause;
    throw new PolicyError("ENVELOPE_INVALID", `the payload is not a ${opened.payloadType}`, { cause });
  }
}
