import { serviceId, type Svid } from "@sallyport/identity";
import {
  DENY_LIST_TYPE,
  HEAD_TYPE,
  SLICE_TYPE,
  compilePolicy,
  createHead,
  encodeDenyList,
  encodeSlice,
  sealEnvelope,
} from "@sallyport/policy-engine";
import {
  Head,
  type DenyList,
  type PolicyDocument,
  type SignedEnvelope,
  type Slice,
  type Subject,
} from "@sallyport/proto/policy";
import type { TestAuthority } from "@sallyport/testing";

/** Signs policy as the policy service does: real compilation, real signatures, into whoever listens. */
export class PolicyAuthor {
  readonly #svid: Svid;
  #slices: ReadonlyMap<string, Slice> = new Map();
  #denyList: DenyList = { version: 1, entries: [] };
  #version = 0;
  #sequence = 0;

  private constructor(svid: Svid) {
    this.#svid = svid;
  }

  static async create(authority: TestAuthority): Promise<PolicyAuthor> {
    return new PolicyAuthor(await authority.issue(serviceId(authority.trustDomain, "policy", "1")));
  }

  /** What the bus would carry for this document, in its order: slices, deny-list, head. */
  publish(document: PolicyDocument): readonly SignedEnvelope[] {
    this.#version += 1;
    const previous = {
      slices: this.#slices,
      version: this.#version,
      denyListVersion: this.#denyList.version,
    };
    this.#slices = compilePolicy(document, previous).slices;
    const slices = [...this.#slices.values()].map((slice) => sealEnvelope(SLICE_TYPE, encodeSlice(slice), this.#svid));
    return [...slices, this.#sealedDenyList(), this.head()];
  }

  deny(kind: Subject["kind"], reason = ""): readonly SignedEnvelope[] {
    const entry = { subject: { kind }, reason, sinceUnixMs: Date.now() };
    this.#denyList = { version: this.#denyList.version + 1, entries: [...this.#denyList.entries, entry] };
    return [this.#sealedDenyList(), this.head()];
  }

  head(change: Partial<Head> = {}): SignedEnvelope {
    this.#sequence += 1;
    const head = createHead({
      sequence: this.#sequence,
      timeUnixMs: Date.now(),
      policyVersion: this.#version,
      slices: this.#slices,
      denyList: this.#denyList,
    });
    return sealEnvelope(HEAD_TYPE, Head.encode({ ...head, ...change }).finish(), this.#svid);
  }

  #sealedDenyList(): SignedEnvelope {
    return sealEnvelope(DENY_LIST_TYPE, encodeDenyList(this.#denyList), this.#svid);
  }
}
