import { serviceId } from "@sallyport/identity";
import { beforeAll, describe, expect, it } from "vitest";
import { sealEnvelope, SLICE_TYPE } from "./envelope.ts";
import { documentOf, PolicyAuthority, REACH_RULES, workload } from "./policy-authority.test-support.ts";
import { encodeSlice } from "./compile-policy.ts";

const RULES = `${REACH_RULES}
@id("echo") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"tools/echo");
@id("small-sums") @reason("both numbers at most 100")
permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"tools/get-sum")
when { context.numbers.hasTag("a") && context.numbers.getTag("a") <= 100 && context.numbers.hasTag("b") && context.numbers.getTag("b") <= 100 };
@id("no-environment") @reason("the environment holds secrets")
forbid (principal, action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"tools/get-env");
`;

describe("PolicyState", () => {
  let policy: PolicyAuthority;

  beforeAll(async () => {
    policy = await PolicyAuthority.create();
    policy.compile(documentOf(RULES));
  });

  it("allows what a rule permits and names rule, version and id", () => {
    const state = policy.state();
    policy.publishTo(state);
    const decision = state.decideDial(workload("agent"), "tools");
    expect(decision).toMatchObject({ decision: "allow", ruleIds: ["reader-dials"], sliceVersion: 1, code: "" });
    expect(decision.decisionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(state.decideDial(workload("agent"), "tools").decisionId).not.toBe(decision.decisionId);
    expect(state.decideHost(workload("host"), "tools").decision).toBe("allow");
  });

  it("denies dialing to a host, hosting to a dialer, and both to a workload without rights", () => {
    const state = policy.state();
    policy.publishTo(state);
    for (const decision of [
      state.decideDial(workload("host"), "tools"),
      state.decideHost(workload("agent"), "tools"),
      state.decideDial(workload("other"), "tools"),
      state.decideDial(workload("agent"), "secrets"),
    ]) {
      expect(decision).toMatchObject({ decision: "deny", code: "POLICY_DENIED", ruleIds: [] });
    }
    expect(state.decideDial(workload("agent"), "nothing").code).toBe("SERVICE_UNKNOWN");
  });

  it("decides a call by its arguments and names the rule that other arguments would meet", () => {
    const state = policy.state();
    policy.publishTo(state);
    const call = (args: unknown): unknown => state.decideCall(workload("agent"), "tools", "get-sum", args);
    expect(call({ a: 1, b: 100 })).toMatchObject({ decision: "allow", ruleIds: ["small-sums"] });
    expect(call({ a: 1, b: 101 })).toMatchObject({
      decision: "deny",
      ruleIds: ["small-sums"],
      reason: "not with these arguments: both numbers at most 100",
    });
    for (const args of [
      {},
      { a: 1 },
      { a: "1", b: 1 },
      { a: 1, b: 99.5 },
      { a: 1, b: { "#": 1 } },
      [1, 1],
      null,
      "a",
    ]) {
      expect(call(args)).toMatchObject({ decision: "deny" });
    }
  });

  it("names the forbid of a forbidden tool and no rule for a tool that none permits", () => {
    const state = policy.state();
    policy.publishTo(state);
    expect(state.decideCall(workload("agent"), "tools", "get-env", {})).toMatchObject({
      decision: "deny",
      ruleIds: ["no-environment"],
      reason: "forbidden: the environment holds secrets",
    });
    expect(state.decideCall(workload("agent"), "tools", "unheard-of", {})).toMatchObject({
      decision: "deny",
      ruleIds: [],
    });
  });

  it("shows the tools that some arguments could be allowed for", () => {
    const state = policy.state();
    policy.publishTo(state);
    const names = ["echo", "get-sum", "get-env", "unheard-of"];
    expect([...state.visibleTools(workload("agent"), "tools", names)]).toEqual(["echo", "get-sum"]);
    expect(state.visibleTools(workload("other"), "tools", names).size).toBe(0);
  });

  it("refuses an envelope that another service signed", async () => {
    const router = await policy.authority.issue(serviceId(policy.authority.trustDomain, "audit", "1"));
    const slice = policy.slices.get("tools");
    expect(slice).toBeDefined();
    if (slice === undefined) return;
    const forged = sealEnvelope(SLICE_TYPE, encodeSlice(slice), router);
    expect(() => policy.state().apply(forged)).toThrow(expect.objectContaining({ code: "SIGNER_FORBIDDEN" }));
  });
});
