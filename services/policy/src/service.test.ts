import { workloadId } from "@sallyport/identity";
import { PolicyState, type Principal } from "@sallyport/policy-engine";
import { SignedEnvelope, type PolicyDocument } from "@sallyport/proto/policy";
import { createTestAuthority, natsServer, type TestAuthority, type TestNatsServer } from "@sallyport/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startReplica, type Replica } from "./replica.test-support.ts";

const CEDAR = `@id("dial") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"dial", resource == Sallyport::Service::"tools");
@id("host") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"tools");`;

const DOCUMENT: PolicyDocument = {
  cedarFiles: { "main.cedar": CEDAR },
  workloads: [
    { name: "agent", roles: ["reader"] },
    { name: "host", roles: [] },
  ],
  services: [{ name: "tools", protocol: "mcp", description: "" }],
};

describe("the policy service", () => {
  let authority: TestAuthority;
  let nats: TestNatsServer;

  beforeAll(async () => {
    authority = await createTestAuthority();
    nats = await natsServer();
  });
  afterAll(async () => {
    await nats[Symbol.asyncDispose]();
  });

  it("puts an applied document in force for whoever watches the bus", async () => {
    await using replica = await startReplica(authority, nats.url);
    const applied = await replica.admin.applyPolicy({ document: DOCUMENT, expectedVersion: 0, dryRun: false });
    const state = await stateOf(authority, replica);
    expect(state.versions).toMatchObject({ policyVersion: applied.version });
    expect(state.versions.headSequence).toBeGreaterThanOrEqual(applied.headSequence);
    expect(state.decideDial(agent(authority), "tools")).toMatchObject({ decision: "allow", ruleIds: ["dial"] });
  });
});

function agent({ trustDomain }: TestAuthority): Principal {
  return {
    identity: { kind: "workload", id: workloadId(trustDomain, "agent", "1"), name: "agent", instance: "1" },
    serial: "00",
    issuers: [],
  };
}

/** What a router that starts now would hold. */
async function stateOf(authority: TestAuthority, { kv }: Replica): Promise<PolicyState> {
  const state = new PolicyState({ bundle: () => authority.bundle });
  const keys: string[] = [];
  for await (const key of await kv.keys()) keys.push(key);
  for (const key of keys.toSorted()) {
    const entry = await kv.get(key);
    if (entry !== null) state.apply(SignedEnvelope.decode(entry.value));
  }
  return state;
}
