import { serviceId, workloadId, type Svid } from "@sallyport/identity";
import {
  Head,
  Service,
  type DenyEntry,
  type DenyList,
  type PolicyDocument,
  type SignedEnvelope,
  type Slice,
  type Subject,
} from "@sallyport/proto/policy";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { compilePolicy, encodeSlice } from "./compile-policy.ts";
import { createHead, encodeDenyList } from "./create-head.ts";
import type { Principal } from "./decision.ts";
import { DENY_LIST_TYPE, HEAD_TYPE, sealEnvelope, SLICE_TYPE } from "./envelope.ts";
import { PolicyState, type PolicyStateOptions } from "./policy-state.ts";

/** A policy service in a test's memory: real compilation, real signatures, no network. */
export class PolicyAuthority {
  readonly authority: TestAuthority;
  readonly svid: Svid;
  nowMs: number = Date.now();
  slices: ReadonlyMap<string, Slice> = new Map();
  denyList: DenyList = { version: 1, entries: [] };
  #policyVersion = 0;
  #sequence = 0;

  private constructor(authority: TestAuthority, svid: Svid) {
    this.authority = authority;
    this.svid = svid;
  }

  static async create(): Promise<PolicyAuthority> {
    const authority = await createTestAuthority();
    return new PolicyAuthority(authority, await authority.issue(serviceId(authority.trustDomain, "policy", "1")));
  }

  state(scope: PolicyStateOptions["scope"] = "all"): PolicyState {
    return new PolicyState({
      bundle: () => this.authority.bundle,
      scope,
      now: () => this.nowMs,
    });
  }

  compile(document: PolicyDocument): void {
    const version = ++this.#policyVersion;
    this.slices = compilePolicy(document, {
      slices: this.slices,
      version,
      denyListVersion: this.denyList.version,
    }).slices;
  }

  deny(subject: Subject["kind"], reason = ""): void {
    const entry: DenyEntry = { subject: { kind: subject }, reason, sinceUnixMs: this.nowMs };
    this.denyList = { version: this.denyList.version + 1, entries: [...this.denyList.entries, entry] };
  }

  slice(service: string, change: Partial<Slice> = {}): SignedEnvelope {
    const slice = this.slices.get(service);
    if (slice === undefined) throw new Error(`no slice ${service}`);
    return sealEnvelope(SLICE_TYPE, encodeSlice({ ...slice, ...change }), this.svid);
  }

  denyListEnvelope(change: Partial<DenyList> = {}): SignedEnvelope {
    return sealEnvelope(DENY_LIST_TYPE, encodeDenyList({ ...this.denyList, ...change }), this.svid);
  }

  head(change: Partial<Head> = {}): SignedEnvelope {
    const { slices, denyList } = this;
    const head = createHead({
      sequence: ++this.#sequence,
      timeUnixMs: this.nowMs,
      policyVersion: this.#policyVersion,
      slices,
      denyList,
    });
    return sealEnvelope(HEAD_TYPE, Head.encode({ ...head, ...change }).finish(), this.svid);
  }

  /** In the order of the bus: slices and deny-list, then the head. */
  publishTo(state: PolicyState): void {
    for (const service of this.slices.keys()) state.apply(this.slice(service));
    state.apply(this.denyListEnvelope());
    state.apply(this.head());
  }
}

export function workload(name: string, instance = "1", facts: Partial<Principal> = {}): Principal {
  const id = workloadId("sallyport.local", name, instance);
  return { identity: { kind: "workload", id, name, instance }, serial: "00", issuers: ["aa"], ...facts };
}

/** A document with the given rules and three workloads: `agent` (reader), `other` (no role) and `host`. */
export function documentOf(cedar: string): PolicyDocument {
  return {
    cedarFiles: { "main.cedar": cedar },
    workloads: [
      { name: "agent", roles: ["reader"] },
      { name: "other", roles: [] },
      { name: "host", roles: [] },
    ],
    services: [
      Service.create({ name: "tools", protocol: "mcp" }),
      Service.create({ name: "secrets", protocol: "mcp" }),
    ],
  };
}

export const REACH_RULES: string = `
@id("reader-dials") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"dial", resource == Sallyport::Service::"tools");
@id("host-hosts") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"tools");
`;
