import { routerId, serviceId, sha256Hex } from "@sallyport/identity";
import { Head } from "@sallyport/proto/policy";
import { createTestAuthority } from "@sallyport/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { compilePolicy, encodeSlice } from "./compile-policy.ts";
import { HEAD_TYPE, openEnvelope, sealEnvelope, SLICE_TYPE } from "./envelope.ts";
import type { PolicyChange } from "./policy-change.ts";
import { documentOf, PolicyAuthority, REACH_RULES, workload } from "./policy-authority.test-support.ts";
import type { PolicyState } from "./policy-state.ts";

const FORBID_AGENT = `${REACH_RULES} @id("stop") forbid (principal == Sallyport::Workload::"agent", action, resource);`;

let policy: PolicyAuthority;
let state: PolicyState;
const dial = (): string => {
  const { decision, code } = state.decideDial(workload("agent"), "tools");
  return code === "" ? decision : code;
};

beforeEach(async () => {
  policy = await PolicyAuthority.create();
  policy.compile(documentOf(REACH_RULES));
  state = policy.state();
});

describe("what is too old or not there", () => {
  it("allows nothing before head, deny-list and slice have all arrived", () => {
    expect(state.freshness()).toEqual({ kind: "missing", reason: "no policy head has arrived yet" });
    expect(dial()).toBe("HEAD_STALE");
    state.apply(policy.head());
    expect(state.freshness()).toEqual({ kind: "missing", reason: "deny-list 1 has not arrived yet" });
    expect(dial()).toBe("HEAD_STALE");
    state.apply(policy.denyListEnvelope());
    expect(state.freshness().kind).toBe("fresh");
    expect(state.decideDial(workload("agent"), "tools")).toMatchObject({
      code: "HEAD_STALE",
      reason: "slices of the policy head have not arrived yet: 2",
    });
    state.apply(policy.slice("tools"));
    expect(dial()).toBe("allow");
  });

  it("allows until the grace is over and not a millisecond longer, and again with a new head", () => {
    policy.publishTo(state);
    policy.nowMs += 900_000;
    expect([state.freshness(), dial()]).toEqual([{ kind: "fresh", ageMs: 900_000 }, "allow"]);
    policy.nowMs += 1;
    expect([state.freshness().kind, dial()]).toEqual(["stale", "HEAD_STALE"]);
    expect(state.visibleTools(workload("agent"), "tools", ["echo"]).size).toBe(0);
    state.apply(policy.head());
    expect(dial()).toBe("allow");
  });

  it("stops deciding by a slice as soon as the head lists another, until that one arrives", () => {
    policy.publishTo(state);
    policy.compile(documentOf(FORBID_AGENT));
    expect(state.apply(policy.head()).services.toSorted()).toEqual(["secrets", "tools"]);
    expect(dial()).toBe("HEAD_STALE");
    expect(state.decideDial(workload("agent"), "tools").reason).toBe("slice 1 of tools is not in the policy head");
    state.apply(policy.slice("tools"));
    expect(dial()).toBe("POLICY_DENIED");
  });

  it("does not decide beside an older deny-list than the slice needs", () => {
    policy.slices = new Map([...policy.slices].map(([service, slice]) => [service, { ...slice, needsDenyList: 2 }]));
    policy.publishTo(state);
    expect(state.decideDial(workload("agent"), "tools").reason).toBe("slice 1 of tools needs deny-list 2");
  });
});

describe("order of arrival", () => {
  it("does not matter between slices, deny-list and head", () => {
    const envelopes = [policy.slice("tools"), policy.slice("secrets"), policy.denyListEnvelope(), policy.head()];
    for (let shift = 0; shift < envelopes.length; shift++) {
      const other = policy.state();
      for (const envelope of [...envelopes.slice(shift), ...envelopes.slice(0, shift)]) other.apply(envelope);
      expect(other.decideDial(workload("agent"), "tools").decision).toBe("allow");
    }
  });

  it("lets a new slice wait until a head lists it", () => {
    policy.publishTo(state);
    policy.compile(documentOf(FORBID_AGENT));
    expect(state.apply(policy.slice("tools"))).toEqual({
      services: [],
      denyListChanged: false,
      denied: [],
      headAdvanced: false,
    });
    expect(dial()).toBe("allow");
    expect(state.apply(policy.head()).services).toContain("tools");
    expect(dial()).toBe("POLICY_DENIED");
  });

  it("enforces a new deny-list at once, and takes an entry off only by the head", () => {
    policy.publishTo(state);
    policy.deny({ $case: "name", value: "agent" }, "stolen");
    expect(state.apply(policy.denyListEnvelope()).denyListChanged).toBe(true);
    expect(dial()).toBe("IDENTITY_DENIED");
    state.apply(policy.head());
    policy.denyList = { version: 3, entries: [] };
    state.apply(policy.denyListEnvelope());
    expect(dial()).toBe("IDENTITY_DENIED");
    state.apply(policy.head());
    expect(dial()).toBe("allow");
  });

  it("tells listeners what changed, once, and nothing when nothing did", () => {
    const changes: PolicyChange[] = [];
    const end = state.onChange((change) => changes.push(change));
    const envelopes = [policy.slice("tools"), policy.denyListEnvelope(), policy.head()];
    for (const envelope of [...envelopes, ...envelopes]) state.apply(envelope);
    expect(changes).toEqual([
      { services: [], denyListChanged: true, denied: [], headAdvanced: false },
      { services: ["tools"], denyListChanged: true, denied: [], headAdvanced: true },
    ]);
    end();
    state.apply(policy.head());
    expect(changes.length).toBe(2);
  });

  it("names who is denied from now on, once, at the list and not again at its head", () => {
    policy.publishTo(state);
    const [stolen, lost] = [{ kind: "name", value: "agent" } as const, { kind: "serial", value: "4f8a11" } as const];
    policy.deny({ $case: stolen.kind, value: stolen.value });
    expect(state.apply(policy.denyListEnvelope()).denied).toEqual([stolen]);
    policy.deny({ $case: lost.kind, value: lost.value });
    expect(state.apply(policy.denyListEnvelope()).denied).toEqual([lost]);
    expect(state.apply(policy.head()).denied).toEqual([]);
    policy.denyList = { version: 4, entries: [] };
    expect(state.apply(policy.denyListEnvelope()).denied).toEqual([]);
    state.apply(policy.head());
    policy.deny({ $case: stolen.kind, value: stolen.value });
    expect(state.apply(policy.denyListEnvelope()).denied).toEqual([stolen]);
  });

  it("takes a payload that was only signed anew as the same", async () => {
    policy.publishTo(state);
    const other = await policy.authority.issue(serviceId(policy.authority.trustDomain, "policy", "2"));
    const again = sealEnvelope(SLICE_TYPE, policy.slice("tools").payload, other);
    expect(state.apply(again).services).toEqual([]);
    expect(dial()).toBe("allow");
  });
});

describe("a head", () => {
  it("contains no name of a service, and its slices in an order that tells nothing", () => {
    const { payload } = policy.head();
    for (const name of ["tools", "secrets"]) expect(Buffer.from(payload).includes(name)).toBe(false);
    const digests = Head.decode(payload).slices.map(({ digest }) => Buffer.from(digest).toString("hex"));
    expect(digests).toHaveLength(2);
    expect(digests).toEqual(digests.toSorted());
  });

  it("does not confirm who guesses a slice whole but for its salt", () => {
    const digests = Head.decode(policy.head().payload).slices.map(({ digest }) => Buffer.from(digest).toString("hex"));
    const again = compilePolicy(documentOf(REACH_RULES), { slices: new Map(), version: 1, denyListVersion: 1 }).slices;
    for (const [service, slice] of policy.slices) {
      expect(slice.salt).toHaveLength(16);
      expect(digests).toContain(sha256Hex(encodeSlice(slice)));
      const guess = again.get(service) ?? slice;
      expect({ ...guess, salt: slice.salt }).toEqual(slice);
      expect(digests).not.toContain(sha256Hex(encodeSlice(guess)));
      expect(digests).not.toContain(sha256Hex(encodeSlice({ ...slice, salt: Buffer.alloc(0) })));
    }
  });
});

describe("who is given all slices", () => {
  const dialOf = (service: string): string => state.decideDial(workload("agent"), service).code;

  it("calls no service unknown while a slice of the head is under way", () => {
    state.apply(policy.denyListEnvelope());
    state.apply(policy.head());
    state.apply(policy.slice("tools"));
    expect([dial(), dialOf("secrets"), dialOf("nothing")]).toEqual(["allow", "HEAD_STALE", "HEAD_STALE"]);
    state.apply(policy.slice("secrets"));
    expect([dial(), dialOf("secrets"), dialOf("nothing")]).toEqual(["allow", "POLICY_DENIED", "SERVICE_UNKNOWN"]);
  });

  it("knows by the head alone that a service is gone, once nothing is under way", () => {
    policy.publishTo(state);
    policy.compile({ ...documentOf(""), services: [] });
    expect(state.apply(policy.head()).services.toSorted()).toEqual(["secrets", "tools"]);
    expect(dial()).toBe("SERVICE_UNKNOWN");
  });

  it("says that a service is gone when the last slice arrives, and not before", () => {
    policy.publishTo(state);
    const { services } = documentOf("");
    policy.compile({ ...documentOf(FORBID_AGENT), services: services.filter(({ name }) => name === "secrets") });
    state.apply(policy.head());
    expect([dial(), dialOf("secrets")]).toEqual(["HEAD_STALE", "HEAD_STALE"]);
    expect(state.apply(policy.slice("secrets")).services).toEqual(["secrets", "tools"]);
    expect([dial(), dialOf("secrets")]).toEqual(["SERVICE_UNKNOWN", "POLICY_DENIED"]);
  });

  it("does not decide any more by a slice that was taken away, whatever the head says", () => {
    policy.publishTo(state);
    expect(state.removeSlice("tools").services).toEqual(["tools"]);
    expect(dial()).toBe("HEAD_STALE");
    expect(state.removeSlice("tools").services).toEqual([]);
  });
});

describe("who is given the slices of some services", () => {
  beforeEach(() => {
    state = policy.state("subscribed");
    state.apply(policy.slice("tools"));
    state.apply(policy.denyListEnvelope());
    state.apply(policy.head());
  });

  it("decides by one slice of many, and takes every other service for unknown", () => {
    expect([state.freshness().kind, dial()]).toEqual(["fresh", "allow"]);
    expect(state.decideDial(workload("agent"), "secrets").code).toBe("SERVICE_UNKNOWN");
  });

  it("does not decide by a slice that the head no longer lists, until its successor or its removal arrives", () => {
    policy.compile(documentOf(FORBID_AGENT));
    expect(state.apply(policy.head()).services).toEqual(["tools"]);
    expect(dial()).toBe("HEAD_STALE");
    state.apply(policy.slice("tools"));
    expect(dial()).toBe("POLICY_DENIED");
    policy.compile({ ...documentOf(""), services: [] });
    state.apply(policy.head());
    expect(dial()).toBe("HEAD_STALE");
    expect(state.removeSlice("tools").services).toEqual(["tools"]);
    expect(dial()).toBe("SERVICE_UNKNOWN");
  });

  it("cannot be given an old slice again, before or after its removal", () => {
    const old = policy.slice("tools");
    policy.compile(documentOf(FORBID_AGENT));
    state.apply(policy.head());
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    state.removeSlice("tools");
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    expect(dial()).toBe("SERVICE_UNKNOWN");
  });

  it("does not go back to an older slice of a service, not even when a head lists it", () => {
    const before = policy.slices;
    policy.compile(documentOf(FORBID_AGENT));
    policy.publishTo(state);
    policy.slices = before;
    state.apply(policy.head());
    expect(() => state.apply(policy.slice("tools"))).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    expect(dial()).toBe("HEAD_STALE");
  });
});

describe("an attacker who holds old or own envelopes", () => {
  it("cannot put an older head in force", () => {
    const old = policy.head();
    policy.publishTo(state);
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
  });

  it("cannot put an older slice in force, before or after its service is gone", () => {
    const old = policy.slice("tools");
    policy.compile(documentOf(FORBID_AGENT));
    policy.publishTo(state);
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    policy.compile({ ...documentOf(""), services: [] });
    state.apply(policy.head());
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    expect(dial()).toBe("SERVICE_UNKNOWN");
  });

  it("cannot put an older deny-list in force", () => {
    const old = policy.denyListEnvelope();
    policy.deny({ $case: "name", value: "agent" });
    policy.publishTo(state);
    expect(() => state.apply(old)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    expect(dial()).toBe("IDENTITY_DENIED");
  });

  it("cannot hide a revocation by withholding the list that a head names", () => {
    policy.publishTo(state);
    policy.deny({ $case: "name", value: "agent" });
    state.apply(policy.head());
    expect(dial()).toBe("HEAD_STALE");
  });

  it.each([
    ["policy", { policyVersion: 0 }],
    ["deny-list", { denyListVersion: 0 }],
  ])("cannot have a newer head with an older %s accepted", (_what, change) => {
    policy.publishTo(state);
    expect(() => state.apply(policy.head(change))).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    expect(dial()).toBe("allow");
  });

  it("cannot exchange the bytes of a slice or deny-list that a head pins", () => {
    state.apply(policy.head());
    const slice = policy.slice("tools", { workloads: [{ name: "other", roles: [] }] });
    expect(() => state.apply(slice)).toThrow(expect.objectContaining({ code: "REPLAYED" }));
    const denyList = policy.denyListEnvelope({ entries: [{ subject: undefined, reason: "", sinceUnixMs: 0 }] });
    expect(() => state.apply(denyList)).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
  });

  it("cannot pass a slice under another version than its head says", () => {
    const { slices } = Head.decode(policy.head().payload);
    state.apply(policy.head({ slices: slices.map((ref) => ({ ...ref, version: 7 })) }));
    expect(() => state.apply(policy.slice("tools"))).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
  });

  it("cannot keep a head fresh for ever by dating it ahead", () => {
    policy.publishTo(state);
    expect(() => state.apply(policy.head({ timeUnixMs: policy.nowMs + 60_001 }))).toThrow(
      expect.objectContaining({ code: "HEAD_FROM_FUTURE" }),
    );
    state.apply(policy.head({ timeUnixMs: policy.nowMs + 60_000 }));
    expect(state.freshness()).toEqual({ kind: "fresh", ageMs: 0 });
  });

  it("changes nothing by an envelope that is refused", () => {
    policy.publishTo(state);
    const before = state.versions;
    const garbage = [
      sealEnvelope(HEAD_TYPE, Buffer.from("no protobuf"), policy.svid),
      policy.slice("tools", { version: 9, policies: { broken: "permit (" } }),
      policy.head({ sequence: 0 }),
    ];
    for (const envelope of garbage)
      expect(() => state.apply(envelope)).toThrow(expect.objectContaining({ name: "PolicyError" }));
    expect([state.versions, dial()]).toEqual([before, "allow"]);
  });
});

describe("an envelope", () => {
  it.each([
    ["a router", routerId("sallyport.local", "one")],
    ["another service", serviceId("sallyport.local", "audit", "1")],
    ["a workload named policy", workload("policy").identity.id],
  ])("of %s is refused", async (_who, id) => {
    const forged = sealEnvelope(SLICE_TYPE, policy.slice("tools").payload, await policy.authority.issue(id));
    expect(() => state.apply(forged)).toThrow(expect.objectContaining({ code: "SIGNER_FORBIDDEN" }));
  });

  it("of another root with the same names is refused", async () => {
    const rogue = await createTestAuthority();
    const forged = sealEnvelope(
      SLICE_TYPE,
      policy.slice("tools").payload,
      await rogue.issue(serviceId("sallyport.local", "policy", "1")),
    );
    expect(() => state.apply(forged)).toThrow(expect.objectContaining({ code: "SIGNER_UNTRUSTED" }));
  });

  it("of an expired signer is refused", async () => {
    const svid = await policy.authority.issue(serviceId("sallyport.local", "policy", "1"), {
      ttlSeconds: 60,
      now: new Date(policy.nowMs - 120_000),
    });
    expect(() => state.apply(sealEnvelope(SLICE_TYPE, policy.slice("tools").payload, svid))).toThrow(
      expect.objectContaining({ code: "SIGNER_UNTRUSTED" }),
    );
  });

  it("with one changed byte, another type or another key's signature is refused", () => {
    const good = policy.slice("tools");
    const payload = Buffer.from(good.payload);
    payload[payload.length - 1] = (payload.at(-1) ?? 0) ^ 1;
    for (const bad of [
      { ...good, payload },
      { ...good, payloadType: HEAD_TYPE },
      { ...good, signature: Buffer.alloc(64) },
      { ...good, signature: Buffer.alloc(0) },
      { ...good, payloadType: "x" },
      { ...good, certificateChain: [] },
    ]) {
      expect(() => state.apply(bad)).toThrow(expect.objectContaining({ code: "ENVELOPE_INVALID" }));
    }
  });

  it("opens to what was sealed, and says who signed", () => {
    const { payloadType, payload, signer } = openEnvelope(
      policy.slice("tools"),
      policy.authority.bundle,
      new Date(policy.nowMs),
    );
    const slice = policy.slices.get("tools");
    expect([payloadType, signer.identity.id.uri]).toEqual([SLICE_TYPE, "spiffe://sallyport.local/service/policy/1"]);
    expect(slice !== undefined && payload.equals(encodeSlice(slice))).toBe(true);
  });
});
