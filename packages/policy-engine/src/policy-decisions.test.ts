import { parseSpiffeId, identityOf, routerId } from "@sallyport/identity";
import { beforeAll, describe, expect, it } from "vitest";
import { documentOf, PolicyAuthority, REACH_RULES, workload } from "./policy-authority.test-support.ts";
import type { PolicyState } from "./policy-state.ts";

const CALL = 'principal, action == Sallyport::Action::"callTool"';
let policy: PolicyAuthority;

beforeAll(async () => {
  policy = await PolicyAuthority.create();
});

/** A state in which only the given rules and those for dial and host are in force. */
function stateWith(rules: string): PolicyState {
  policy.compile(documentOf(REACH_RULES + rules));
  const state = policy.state();
  policy.publishTo(state);
  return state;
}

describe("a rule that fails", () => {
  const overflow = '{ context.numbers.hasTag("n") && context.numbers.getTag("n") * 9223372036854775807 > 0 }';

  it("denies when it is a forbid, although Cedar would skip it", () => {
    const state = stateWith(
      `@id("all") permit (${CALL}, resource); @id("limit") forbid (${CALL}, resource) when ${overflow};`,
    );
    expect(state.decideCall(workload("agent"), "tools", "echo", { n: 0 })).toMatchObject({ decision: "allow" });
    expect(state.decideCall(workload("agent"), "tools", "echo", { n: 5 })).toMatchObject({
      decision: "deny",
      code: "POLICY_DENIED",
      ruleIds: ["limit"],
    });
  });

  it("denies when it is a permit beside one that holds", () => {
    const state = stateWith(
      `@id("all") permit (${CALL}, resource); @id("sum") permit (${CALL}, resource) when ${overflow};`,
    );
    expect(state.decideCall(workload("agent"), "tools", "echo", { n: 5 })).toMatchObject({
      decision: "deny",
      ruleIds: ["sum"],
    });
  });
});

describe("a forbid", () => {
  it("wins over every permit", () => {
    const state = stateWith(
      `@id("all") permit (${CALL}, resource); @id("no") forbid (${CALL}, resource == Sallyport::Tool::"tools/drop");`,
    );
    expect(state.decideCall(workload("agent"), "tools", "drop", {})).toMatchObject({
      decision: "deny",
      ruleIds: ["no"],
    });
    expect(state.decideCall(workload("agent"), "tools", "keep", {}).decision).toBe("allow");
  });
});

describe("visibility", () => {
  const visible = (rules: string): string[] => [
    ...stateWith(rules).visibleTools(workload("agent"), "tools", ["read", "write", "drop"]),
  ];

  it("keeps conditions on the tool beside conditions on the arguments", () => {
    const condition =
      'when { resource.name == "read" && context.arguments.hasTag("p") && context.arguments.getTag("p") like "/a/*" }';
    expect(visible(`permit (${CALL}, resource) ${condition};`)).toEqual(["read"]);
    expect(
      visible(`permit (${CALL}, resource) when { resource.name == "read" || context.arguments.hasTag("p") };`),
    ).toEqual(["read", "write", "drop"]);
    expect(
      visible(`permit (${CALL}, resource) unless { resource.name == "drop" || context.arguments.hasTag("p") };`),
    ).toEqual(["read", "write"]);
    expect(
      visible(`permit (${CALL}, resource) when { !(resource.name == "drop" || context.arguments.hasTag("p")) };`),
    ).toEqual(["read", "write"]);
  });

  it("hides what a forbid refuses with any arguments, and shows what it refuses with some", () => {
    const permit = `permit (${CALL}, resource);`;
    expect(visible(`${permit} forbid (${CALL}, resource == Sallyport::Tool::"tools/drop");`)).toEqual([
      "read",
      "write",
    ]);
    expect(
      visible(
        `${permit} forbid (${CALL}, resource == Sallyport::Tool::"tools/drop") when { context.arguments.hasTag("all") };`,
      ),
    ).toEqual(["read", "write", "drop"]);
    expect(
      visible(
        `${permit} forbid (${CALL}, resource) when { resource.name == "drop" || context.arguments.hasTag("all") };`,
      ),
    ).toEqual(["read", "write"]);
    expect(
      visible(
        `${permit} forbid (${CALL}, resource) unless { resource.name == "read" && context.arguments.hasTag("ok") };`,
      ),
    ).toEqual(["read"]);
  });

  it("never hides a tool that is then allowed", () => {
    const rules = `permit (${CALL}, resource) when { if context.arguments.hasTag("x") then resource.name == "write" else resource.name == "read" };`;
    const state = stateWith(rules);
    expect(state.decideCall(workload("agent"), "tools", "write", { x: 1 }).decision).toBe("allow");
    expect(state.visibleTools(workload("agent"), "tools", ["write"]).has("write")).toBe(true);
  });
});

describe("arguments", () => {
  it("that cannot be judged deny the call, with the reason", () => {
    const state = stateWith(`permit (${CALL}, resource);`);
    const deep = JSON.parse(`${'{"a":'.repeat(40)}1${"}".repeat(40)}`) as unknown;
    expect(state.decideCall(workload("agent"), "tools", "echo", deep)).toMatchObject({
      decision: "deny",
      reason: "the arguments are nested deeper than 16",
    });
    for (const tool of ["", "x".repeat(257), "\ud800"])
      expect(state.decideCall(workload("agent"), "tools", tool, {}).decision).toBe("deny");
  });

  it("cannot hide one behind another of the same dotted name", () => {
    const state = stateWith(
      `permit (${CALL}, resource) when { context.arguments.hasTag("o.path") && context.arguments.getTag("o.path") like "/public/*" };`,
    );
    const call = (args: object): string => state.decideCall(workload("agent"), "tools", "echo", args).decision;
    expect(call({ o: { path: "/public/a" } })).toBe("allow");
    expect(call({ "o.path": "/public/a" })).toBe("deny");
    expect(call({ "o.path": "/public/a", o: { path: "/secret" } })).toBe("deny");
  });

  it("may be counted, so that nothing comes along unseen", () => {
    const state = stateWith(
      `permit (${CALL}, resource) when { context.numbers.getTag("#") == 1 && context.arguments.hasTag("m") };`.replace(
        "when { ",
        'when { context.numbers.hasTag("#") && ',
      ),
    );
    expect(state.decideCall(workload("agent"), "tools", "echo", { m: "a" }).decision).toBe("allow");
    expect(state.decideCall(workload("agent"), "tools", "echo", { m: "a", extra: true }).decision).toBe("deny");
  });
});

describe("a tool's name", () => {
  it("cannot reach into another service", () => {
    const state = stateWith('permit (principal, action, resource == Sallyport::Tool::"tools/a/b");');
    expect(state.decideCall(workload("agent"), "tools", "a/b", {}).decision).toBe("allow");
    expect(state.decideCall(workload("agent"), "secrets", "x/../../tools/a/b", {}).decision).toBe("deny");
  });
});

describe("the deny-list", () => {
  const uri = "spiffe://sallyport.local/workload/agent/1";
  it.each([
    ["name", "agent"],
    ["instance", uri],
    ["serial", "0a0b"],
    ["issuer", "ab".repeat(32)],
  ] as const)("denies by %s, and nobody else", async (kind, value) => {
    policy = await PolicyAuthority.create();
    policy.deny({ $case: kind, value }, "gone");
    const state = stateWith('permit (principal, action == Sallyport::Action::"dial", resource);');
    const denied = workload("agent", "1", { serial: "0a0b", issuers: ["cd".repeat(32), "ab".repeat(32)] });
    expect(state.denied(denied)?.reason).toBe("gone");
    for (const decision of [
      state.decideDial(denied, "tools"),
      state.decideHost(denied, "tools"),
      state.decideCall(denied, "tools", "echo", {}),
    ]) {
      expect(decision).toMatchObject({ decision: "deny", code: "IDENTITY_DENIED", reason: `${uri} is revoked: gone` });
    }
    const other = workload("other", "1", { serial: "0a0c", issuers: ["cd".repeat(32)] });
    expect([state.denied(other), state.decideDial(other, "tools").decision]).toEqual([null, "allow"]);
    if (kind !== "name") expect(state.denied(workload("agent", "2"))).toBeNull();
  });

  it("takes a name for a workload's only, and an instance for anyone's", async () => {
    policy = await PolicyAuthority.create();
    policy.deny({ $case: "name", value: "one" });
    policy.deny({ $case: "instance", value: "spiffe://sallyport.local/router/two" });
    const state = stateWith("");
    const router = (name: string) => ({
      identity: identityOf(routerId("sallyport.local", name)),
      serial: "00",
      issuers: [],
    });
    expect([state.denied(router("one")), state.denied(router("two"))?.subject?.kind?.value]).toEqual([
      null,
      "spiffe://sallyport.local/router/two",
    ]);
  });
});

describe("a principal", () => {
  it.each([
    "spiffe://sallyport.local/router/agent",
    "spiffe://sallyport.local/admin/agent",
    "spiffe://sallyport.local/service/agent/1",
    "spiffe://elsewhere.org/workload/agent/1",
  ])("%s is no workload of this trust domain", (uri) => {
    const state = stateWith("permit (principal, action, resource);");
    const principal = { identity: identityOf(parseSpiffeId(uri)), serial: "00", issuers: [] };
    expect(state.decideDial(principal, "tools")).toMatchObject({ decision: "deny", code: "IDENTITY_DENIED" });
  });

  it("that policy does not know may do nothing, even what everyone may", () => {
    const state = stateWith("permit (principal, action, resource);");
    expect(state.decideDial(workload("unheard-of"), "tools")).toMatchObject({
      decision: "deny",
      code: "POLICY_DENIED",
    });
  });
});

describe("a kept answer", () => {
  it("is forgotten with the slice that it came from", () => {
    policy.compile(documentOf(REACH_RULES));
    const state = policy.state();
    policy.publishTo(state);
    expect(state.decideDial(workload("agent"), "tools").decision).toBe("allow");
    policy.compile(documentOf(""));
    policy.publishTo(state);
    expect(state.decideDial(workload("agent"), "tools").decision).toBe("deny");
  });

  it("is not taken for another whose arguments only look alike", () => {
    const state = stateWith(
      `permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource) when { context.numbers.hasTag("n") && context.numbers.getTag("n") == 1 };`,
    );
    const call = (args: object): string => state.decideCall(workload("agent"), "tools", "echo", args).decision;
    const answers = [{ n: 1 }, { n: "1" }, { n: 1 }, { n: [1] }, { n: 1, m: 1 }].map(call);
    expect(answers).toEqual(["allow", "deny", "allow", "deny", "allow"]);
    expect(state.decideCall(workload("host"), "tools", "echo", { n: 1 }).decision).toBe("deny");
  });

  it("does not grow with the names that a caller makes up", () => {
    const state = stateWith(`permit (${CALL}, resource == Sallyport::Tool::"tools/echo");`);
    for (let n = 0; n < 5_000; n++) state.decideCall(workload("agent"), "tools", `made-up-${n}`, {});
    expect([...state.visibleTools(workload("agent"), "tools", ["echo", "made-up-1"])]).toEqual(["echo"]);
  });
});
