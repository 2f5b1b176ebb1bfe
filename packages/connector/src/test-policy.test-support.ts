import { serviceId, type Svid } from "@sallyport/identity";
import {
  compilePolicy,
  createHead,
  DENY_LIST_TYPE,
  encodeDenyList,
  encodeSlice,
  HEAD_TYPE,
  PolicyState,
  sealEnvelope,
  SLICE_TYPE,
} from "@sallyport/policy-engine";
import {
  Head,
  Service,
  type DenyList,
  type PolicyDocument,
  type SignedEnvelope,
  type Slice,
} from "@sallyport/proto/policy";
import type { TestAuthority } from "@sallyport/testing";

export interface PolicyEnvelope {
  readonly kind: "slice" | "denyList" | "head";
  readonly envelope: SignedEnvelope;
}

/** What policy publishes, in the memory of a test: real compilation and real signatures. */
export class TestPolicy {
  readonly #authority: TestAuthority;
  readonly #svid: Svid;
  readonly #protocol: "mcp" | "tcp";
  readonly #listeners = new Set<() => void>();
  #slices: ReadonlyMap<string, Slice> = new Map();
  #denyList: DenyList = { version: 1, entries: [] };
  #version = 0;
  #sequence = 0;
  #head: SignedEnvelope | undefined;
  #current: PolicyState | undefined;

  private constructor(authority: TestAuthority, svid: Svid, protocol: "mcp" | "tcp") {
    this.#authority = authority;
    this.#svid = svid;
    this.#protocol = protocol;
  }

  /** @param protocol what every service speaks */
  static async create(authority: TestAuthority, cedar: string, protocol: "mcp" | "tcp" = "tcp"): Promise<TestPolicy> {
    const svid = await authority.issue(serviceId(authority.trustDomain, "policy", "1"));
    const policy = new TestPolicy(authority, svid, protocol);
    policy.apply(cedar);
    return policy;
  }

  apply(cedar: string): void {
    this.#version += 1;
    const previous = { slices: this.#slices, version: this.#version, denyListVersion: this.#denyList.version };
    this.#slices = compilePolicy(documentOf(cedar, this.#protocol), previous).slices;
    this.#publish();
  }

  deny(name: string): void {
    const entry = {
      subject: { kind: { $case: "name", value: name } },
      reason: "compromised",
      sinceUnixMs: Date.now(),
    } as const;
    this.#denyList = { version: this.#denyList.version + 1, entries: [...this.#denyList.entries, entry] };
    this.#publish();
  }

  /** Slices and deny-list first, then the head. */
  envelopes(): readonly PolicyEnvelope[] {
    this.#head ??= sealEnvelope(HEAD_TYPE, Head.encode(this.#createHead()).finish(), this.#svid);
    return [
      ...[...this.#slices.values()].map(
        (slice) => ({ kind: "slice", envelope: sealEnvelope(SLICE_TYPE, encodeSlice(slice), this.#svid) }) as const,
      ),
      { kind: "denyList", envelope: sealEnvelope(DENY_LIST_TYPE, encodeDenyList(this.#denyList), this.#svid) },
      { kind: "head", envelope: this.#head },
    ];
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The state of a party that always has the newest policy. */
  decide(): PolicyState {
    this.#current ??= this.state();
    return this.#current;
  }

  /** A state that follows this policy. */
  state(): PolicyState {
    const state = new PolicyState({ scope: "subscribed", bundle: () => this.#authority.bundle });
    const follow = (): void => {
      for (const { envelope } of this.envelopes()) state.apply(envelope);
    };
    follow();
    this.onChange(follow);
    return state;
  }

  #publish(): void {
    this.#head = undefined;
    for (const listener of this.#listeners) listener();
  }

  #createHead(): Head {
    this.#sequence += 1;
    const facts = { sequence: this.#sequence, timeUnixMs: Date.now(), policyVersion: this.#version };
    return createHead({ ...facts, slices: this.#slices, denyList: this.#denyList });
  }
}

/** `agent` may dial `files` and `shell`, `host` may host both; `stranger` may do nothing. */
export const reachRules: string = `
@id("agents-dial-files") permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"dial", resource == Sallyport::Service::"files");
@id("agents-dial-shell") permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"dial", resource == Sallyport::Service::"shell");
@id("host-hosts-files") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"files");
@id("host-hosts-shell") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"shell");
`;

function documentOf(cedar: string, protocol: string): PolicyDocument {
  return {
    cedarFiles: { "main.cedar": cedar },
    workloads: ["agent", "host", "stranger", "rival", "annex"].map((name) => ({ name, roles: [] })),
    services: ["files", "shell"].map((name) => Service.create({ name, protocol })),
  };
}
