import { createHash } from "node:crypto";
import { adminId, serviceId, workloadId } from "@sallyport/identity";
import {
  encodeSlice,
  openEnvelope,
  PolicyState,
  sealEnvelope,
  SLICE_TYPE,
  type Principal,
} from "@sallyport/policy-engine";
import { Head, Service, SignedEnvelope, Slice, type PolicyDocument } from "@sallyport/proto/policy";
import { RpcError } from "@sallyport/service";
import { createTestAuthority, natsServer, type TestAuthority, type TestNatsServer } from "@sallyport/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startReplica, type Replica } from "./replica.test-support.ts";

const CEDAR = `@id("dial") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"dial", resource == Sallyport::Service::"tools");
@id("host") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"tools");`;

const DOCUMENT: PolicyDocument = {
  cedarFiles: { "main.cedar": CEDAR },
  workloads: [
    { name: "agent", roles: ["reader"] },
    { name: "host", roles: [] },
  ],
  services: [Service.create({ name: "tools", protocol: "mcp" })],
};

let authority: TestAuthority;
let nats: TestNatsServer;

beforeAll(async () => {
  authority = await createTestAuthority();
});
beforeEach(async () => {
  nats = await natsServer();
});
afterEach(async () => {
  await nats[Symbol.asyncDispose]();
});

describe("ApplyPolicy", () => {
  it("puts a document in force for whoever watches the bus", async () => {
    await using replica = await startReplica(authority, nats.url);
    const applied = await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const state = await stateOf(replica);
    expect(state.versions).toMatchObject({ policyVersion: applied.version });
    expect(state.versions.headSequence).toBeGreaterThanOrEqual(applied.headSequence);
    expect(state.decideDial(workload("agent"), "tools")).toMatchObject({ decision: "allow", ruleIds: ["dial"] });
    expect((await replica.admin.getPolicy({})).document).toEqual(DOCUMENT);
    expect(replica.events).toMatchObject([
      { kind: "policy.applied", actorName: "local", attributes: { version: "1" } },
    ]);
  });

  it("changes nothing when one rule is wrong, and says where", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const broken = {
      ...DOCUMENT,
      cedarFiles: { ...DOCUMENT.cedarFiles, "new.cedar": "// fine\npermit (principal action, resource);" },
    };
    const error = await refusal(replica.admin.applyPolicy({ document: broken, expectedVersion: 0, dryRun: false }));
    expect(error).toMatchObject({ code: "POLICY_SYNTAX", metadata: { file: "new.cedar", line: "2", column: "19" } });
    expect(await replica.admin.getPolicy({})).toEqual({ document: DOCUMENT, version: 1 });
  });

  it("refuses a document that was begun from an older version", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    await replica.admin.applyPolicy({ document: renamed("v2"), expectedVersion: 1, dryRun: false });
    const error = await refusal(
      replica.admin.applyPolicy({ document: renamed("v3"), expectedVersion: 1, dryRun: false }),
    );
    expect(error).toMatchObject({ code: "VERSION_CONFLICT", field: "expected_version", metadata: { version: "2" } });
    expect((await replica.admin.getPolicy({})).document).toEqual(renamed("v2"));
  });

  it("checks everything and changes nothing on a dry run", async () => {
    await using replica = await startReplica(authority, nats.url);
    const lonely = { ...DOCUMENT, workloads: [{ name: "host", roles: [] }] };
    const answer = await replica.admin.applyPolicy({ document: lonely, expectedVersion: 0, dryRun: true });
    expect(answer).toMatchObject({ version: 1, headSequence: 0 });
    expect(answer.warnings).toContain("main.cedar:1: rule dial: no workload holds the role reader");
    expect(
      await refusal(
        replica.admin.applyPolicy({
          document: { ...lonely, services: [], cedarFiles: { "a.cedar": "x" } },
          expectedVersion: 0,
          dryRun: true,
        }),
      ),
    ).toMatchObject({ code: "POLICY_SYNTAX" });
    expect((await replica.admin.getPolicy({})).version).toBe(0);
    expect(replica.events).toEqual([]);
  });

  it("keeps version and bytes of what did not change, and takes away what is gone", async () => {
    await using replica = await startReplica(authority, nats.url);
    const two = { ...DOCUMENT, services: [...DOCUMENT.services, Service.create({ name: "other", protocol: "tcp" })] };
    await replica.admin.applyPolicy({ document: two, expectedVersion: 0, dryRun: false });
    await replica.admin.applyPolicy({ document: two, expectedVersion: 0, dryRun: false });
    expect((await replica.admin.getPolicy({})).version).toBe(1);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const state = await stateOf(replica);
    expect(state.decideDial(workload("agent"), "tools")).toMatchObject({ decision: "allow", sliceVersion: 1 });
    expect(state.decideDial(workload("agent"), "other").code).toBe("SERVICE_UNKNOWN");
    expect(await replica.kv.get("slice.other")).toMatchObject({ operation: "DEL" });
  });

  it("announces slices by digests that name no service and that nobody can guess", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const { payload } = await replica.admin.getHead({});
    expect(Buffer.from(payload).includes("tools")).toBe(false);
    const { slices } = Head.decode(payload);
    expect(slices.map(({ version }) => version)).toEqual([1]);
    const published = await sliceOf(replica, "tools");
    expect(published.salt).toHaveLength(16);
    expect(digestOf(published)).toEqual(slices[0]?.digest);
    expect(digestOf({ ...published, salt: Buffer.alloc(0) })).not.toEqual(slices[0]?.digest);
  });

  it("renews a slice's salt with its content, and keeps it over other changes and another replica", async () => {
    await using one = await startReplica(authority, nats.url, "1");
    await one.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const first = await sliceOf(one, "tools");
    const two = { ...DOCUMENT, services: [...DOCUMENT.services, Service.create({ name: "other", protocol: "tcp" })] };
    await using other = await startReplica(authority, nats.url, "2");
    await other.admin.applyPolicy({ document: two, expectedVersion: 0, dryRun: false });
    expect(await sliceOf(other, "tools")).toEqual(first);
    expect((await sliceOf(other, "other")).salt).not.toEqual(first.salt);
    const asTcp = { ...DOCUMENT, services: [Service.create({ name: "tools", protocol: "tcp" })] };
    await other.admin.applyPolicy({ document: asTcp, expectedVersion: 0, dryRun: false });
    const changed = await sliceOf(other, "tools");
    expect(changed.version).toBe(3);
    expect(changed.salt).not.toEqual(first.salt);
    await one.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const back = await sliceOf(one, "tools");
    expect([first.salt, changed.salt]).not.toContainEqual(back.salt);
    expect((await stateOf(one)).decideDial(workload("agent"), "tools").decision).toBe("allow");
  });

  it("lets one of two racing authors win and tells the other", async () => {
    await using one = await startReplica(authority, nats.url, "1");
    await using two = await startReplica(authority, nats.url, "2");
    const results = await Promise.allSettled([
      one.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false }),
      two.admin.applyPolicy({ document: renamed("two"), expectedVersion: 0, dryRun: false }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
    const races = await Promise.allSettled([
      one.admin.applyPolicy({ document: renamed("three"), expectedVersion: 2, dryRun: false }),
      two.admin.applyPolicy({ document: renamed("four"), expectedVersion: 2, dryRun: false }),
    ]);
    expect(races.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    const state = await stateOf(one);
    expect(state.versions.policyVersion).toBe(3);
    expect(state.decideDial(workload("agent"), "tools").decision).toBe("allow");
  });
});

describe("Revoke", () => {
  it("returns when the list and a head that names it are on the bus", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const answer = await replica.admin.revoke({
      subject: { kind: { $case: "name", value: "agent" } },
      reason: "stolen laptop",
    });
    const state = await stateOf(replica);
    expect(state.versions).toMatchObject({ denyListVersion: answer.denyListVersion });
    expect(state.decideDial(workload("agent"), "tools")).toMatchObject({
      code: "IDENTITY_DENIED",
      reason: "spiffe://sallyport.local/workload/agent/1 is revoked: stolen laptop",
    });
    expect(state.decideHost(workload("host"), "tools").decision).toBe("allow");
    expect(replica.events.at(-1)).toMatchObject({
      kind: "identity.revoked",
      attributes: { subject_kind: "name", subject: "agent" },
    });
  });

  it("leaves the slices as they are", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const before = await replica.kv.get("slice.tools");
    await replica.admin.revoke({ subject: { kind: { $case: "name", value: "other" } }, reason: "" });
    expect((await replica.kv.get("slice.tools"))?.revision).toBe(before?.revision);
    expect((await stateOf(replica)).decideDial(workload("agent"), "tools").decision).toBe("allow");
  });

  it("survives a restart of the service", async () => {
    const revoked = await (async () => {
      await using before = await startReplica(authority, nats.url);
      await before.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
      return await before.admin.revoke({ subject: { kind: { $case: "serial", value: "0a" } }, reason: "" });
    })();
    await nats.kill();
    await nats.start();
    await using after = await startReplica(authority, nats.url);
    await untilReady(after);
    const state = await stateOf(after);
    expect(state.versions.headSequence).toBeGreaterThan(revoked.headSequence);
    expect(state.decideDial(workload("agent", "0a"), "tools").code).toBe("IDENTITY_DENIED");
    expect(state.decideDial(workload("agent", "0b"), "tools").decision).toBe("allow");
  });

  it("loses no entry when two replicas revoke at once", async () => {
    await using one = await startReplica(authority, nats.url, "1");
    await using two = await startReplica(authority, nats.url, "2");
    const serials = Array.from({ length: 20 }, (_, index) => (0x10 + index).toString(16));
    const answers = await Promise.all(
      serials.map((value, index) =>
        (index % 2 === 0 ? one : two).admin.revoke({ subject: { kind: { $case: "serial", value } }, reason: "" }),
      ),
    );
    expect(Math.max(...answers.map(({ denyListVersion }) => denyListVersion))).toBe(21);
    const state = await stateOf(two);
    expect(state.versions.denyListVersion).toBe(21);
    expect(serials.filter((serial) => state.denied(workload("agent", serial)) === null)).toEqual([]);
  });

  it("refuses what names nothing that can exist", async () => {
    await using replica = await startReplica(authority, nats.url);
    const subjects = [
      undefined,
      { kind: { $case: "name", value: "Agent" } },
      { kind: { $case: "instance", value: "spiffe://elsewhere.org/workload/agent/1" } },
      { kind: { $case: "serial", value: "0A:0B" } },
      { kind: { $case: "issuer", value: "aa" } },
    ] as const;
    for (const subject of subjects) {
      expect(await refusal(replica.admin.revoke({ subject, reason: "" }))).toMatchObject({ code: "SUBJECT_INVALID" });
    }
  });

  it("can be taken back, entry by entry", async () => {
    await using replica = await startReplica(authority, nats.url);
    await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const instance = { kind: { $case: "instance", value: "spiffe://sallyport.local/workload/agent/1" } } as const;
    await replica.admin.revoke({ subject: { kind: { $case: "name", value: "agent" } }, reason: "" });
    await replica.admin.revoke({ subject: instance, reason: "" });
    await replica.admin.reinstate({ subject: { kind: { $case: "name", value: "agent" } } });
    expect((await stateOf(replica)).decideDial(workload("agent"), "tools").code).toBe("IDENTITY_DENIED");
    await replica.admin.reinstate({ subject: instance });
    expect((await stateOf(replica)).decideDial(workload("agent"), "tools").decision).toBe("allow");
  });
});

describe("the policy service", () => {
  it("answers nobody but an admin, and tells anyone the head", async () => {
    await using replica = await startReplica(authority, nats.url);
    await untilReady(replica);
    for (const id of [workloadId("sallyport.local", "agent", "1"), serviceId("sallyport.local", "router", "1")]) {
      const client = await replica.clientAs(id);
      expect(await refusal(client.revoke({ subject: undefined, reason: "" }))).toMatchObject({
        code: "CALLER_NOT_ALLOWED",
      });
      expect(await refusal(client.getPolicy({}))).toMatchObject({ code: "CALLER_NOT_ALLOWED" });
      expect((await client.getHead({})).payloadType).toBe("sallyport.policy.v1.Head");
    }
    const admin = await replica.clientAs(adminId("sallyport.local", "local"));
    expect((await admin.getPolicy({})).version).toBe(0);
  });

  it("signs anew what an expired certificate signed, with the same payload", async () => {
    const expired = await authority.issue(serviceId("sallyport.local", "policy", "1"), {
      ttlSeconds: 60,
      now: new Date(Date.now() - 86_400_000),
    });
    await (async () => {
      await using before = await startReplica(authority, nats.url);
      await before.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
      for (const key of ["slice.tools", "denylist", "head"]) {
        const entry = await before.kv.get(key);
        const envelope = SignedEnvelope.decode(entry?.value ?? new Uint8Array());
        const { payloadType, payload } = openEnvelope(envelope, authority.bundle, new Date());
        const old = sealEnvelope(payloadType, payload, expired);
        await before.kv.put(key, SignedEnvelope.encode(old).finish());
      }
      await expect(stateOf(before)).rejects.toMatchObject({ code: "SIGNER_UNTRUSTED" });
    })();
    await using after = await startReplica(authority, nats.url);
    await untilReady(after);
    const state = await stateOf(after);
    expect(state.decideDial(workload("agent"), "tools")).toMatchObject({ decision: "allow", sliceVersion: 1 });
  });

  it("overwrites what somebody else put on the bus", async () => {
    const forger = await authority.issue(serviceId("sallyport.local", "audit", "1"));
    await (async () => {
      await using before = await startReplica(authority, nats.url);
      await before.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
      const forged = Slice.fromPartial({ service: "tools", version: 99, protocol: "mcp" });
      await before.kv.put(
        "slice.tools",
        SignedEnvelope.encode(sealEnvelope(SLICE_TYPE, encodeSlice(forged), forger)).finish(),
      );
      await before.kv.put("head", "not an envelope");
    })();
    await using after = await startReplica(authority, nats.url);
    await untilReady(after);
    expect((await stateOf(after)).decideDial(workload("agent"), "tools").decision).toBe("allow");
  });

  it("tells callers that the bus is away, and goes on when it is back", async () => {
    await using replica = await startReplica(authority, nats.url);
    await untilReady(replica);
    await nats.kill();
    const error = await refusal(
      replica.admin.revoke({ subject: { kind: { $case: "name", value: "agent" } }, reason: "" }),
    );
    expect(error).toMatchObject({ code: "BUS_UNAVAILABLE" });
    await nats.start();
    await expect
      .poll(
        () =>
          replica.admin.revoke({ subject: { kind: { $case: "name", value: "agent" } }, reason: "" }).then(
            () => "published",
            () => "not yet",
          ),
        { timeout: 10_000 },
      )
      .toBe("published");
    expect((await stateOf(replica)).denied(workload("agent"))).not.toBeNull();
  });
});

function renamed(description: string): PolicyDocument {
  return { ...DOCUMENT, services: [Service.create({ name: "tools", protocol: "mcp", description })] };
}

function workload(name: string, serial = "00"): Principal {
  return {
    identity: { kind: "workload", id: workloadId("sallyport.local", name, "1"), name, instance: "1" },
    serial,
    issuers: [],
  };
}

async function untilReady({ readiness }: Replica): Promise<void> {
  await new Promise<void>((resolve) => {
    readiness.onChange((state) => {
      if (state.kind === "ready") resolve();
    });
  });
}

async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error: unknown = await call.then(
    () => new Error("the call was allowed"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof RpcError) return error;
  throw error;
}

async function sliceOf({ kv }: Replica, service: string): Promise<Slice> {
  const entry = await kv.get(`slice.${service}`);
  return Slice.decode(SignedEnvelope.decode(entry?.value ?? new Uint8Array()).payload);
}

function digestOf(slice: Slice): Buffer {
  return createHash("sha256").update(encodeSlice(slice)).digest();
}

/** What a router that starts now would hold. */
async function stateOf({ kv }: Replica): Promise<PolicyState> {
  const state = new PolicyState({ scope: "all", bundle: () => authority.bundle });
  const keys: string[] = [];
  for await (const key of await kv.keys()) keys.push(key);
  for (const key of keys.toSorted()) {
    const entry = await kv.get(key);
    if (entry !== null) state.apply(SignedEnvelope.decode(entry.value));
  }
  return state;
}
