import { Service, Slice, Stickiness, type PolicyDocument } from "@sallyport/proto/policy";
import { describe, expect, it } from "vitest";
import { compilePolicy, encodeSlice, type CompiledPolicy } from "./compile-policy.ts";
import { PolicyError } from "./policy-error.ts";
import { documentOf, REACH_RULES } from "./policy-authority.test-support.ts";

const FIRST = { slices: new Map<string, Slice>(), version: 1, denyListVersion: 1 };
const CALL = 'principal, action == Sallyport::Action::"callTool"';

function compile(cedar: string, change: Partial<PolicyDocument> = {}): CompiledPolicy {
  return compilePolicy({ ...documentOf(cedar), ...change }, FIRST);
}

function fault(compilation: () => unknown): PolicyError {
  try {
    compilation();
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new Error("it compiled");
}

describe("a document with a fault", () => {
  it.each([
    ["a missing comma", "\n\n  permit (principal action, resource);", { code: "POLICY_SYNTAX", line: 3, column: 21 }],
    ["an unclosed string after a character of two bytes", '// é\n@id("é', { code: "POLICY_SYNTAX", line: 2 }],
    ["a missing semicolon", "permit (principal, action, resource)\n", { code: "POLICY_SYNTAX", line: 1, column: 37 }],
    [
      "a template",
      "permit (principal == ?principal, action, resource);",
      { code: "POLICY_SYNTAX", line: 1, column: 22 },
    ],
    [
      "a type that is not in the schema",
      'permit (principal in Sallyport::Team::"x", action, resource);',
      { code: "POLICY_INVALID", line: 1, column: 22 },
    ],
    [
      "an argument that may be missing",
      `\npermit (${CALL}, resource)\nwhen { context.numbers.getTag("a") < 1 };`,
      { code: "POLICY_INVALID", line: 3, column: 8 },
    ],
    [
      "two rules of one id",
      '@id("a") permit (principal, action, resource);\n@id("a") forbid (principal, action, resource);',
      { code: "POLICY_INVALID", line: 2, column: 1 },
    ],
    [
      "an id that cannot name a rule",
      '@id("no spaces") permit (principal, action, resource);',
      { code: "POLICY_INVALID", line: 1, column: 1 },
    ],
    [
      "a reason longer than a sentence",
      `@reason("${"x".repeat(257)}") permit (principal, action, resource);`,
      { code: "LIMIT_EXCEEDED", line: 1, column: 1 },
    ],
    [
      "an id without a value",
      "@id permit (principal, action, resource);\n@id permit (principal, action, resource);",
      null,
    ],
  ])("is refused for %s, with file, line and column", (_what, cedar, expected) => {
    if (expected === null) expect([...compile(cedar).slices.values()][0]?.policies).toHaveProperty(["main.cedar#1"]);
    else expect(fault(() => compile(cedar))).toMatchObject({ file: "main.cedar", ...expected });
  });

  it.each<[string, Partial<PolicyDocument>, object]>([
    [
      "a workload's name",
      { workloads: [{ name: "Agent", roles: [] }] },
      { code: "POLICY_INVALID", field: "workloads.0.name" },
    ],
    [
      "a workload twice",
      {
        workloads: [
          { name: "a", roles: [] },
          { name: "a", roles: [] },
        ],
      },
      { code: "POLICY_INVALID", field: "workloads" },
    ],
    [
      "a built-in service",
      { services: [Service.create({ name: "sallyport.policy", protocol: "tcp" })] },
      { code: "POLICY_INVALID", field: "services.0.name" },
    ],
    [
      "a protocol",
      { services: [Service.create({ name: "a", protocol: "udp" })] },
      { code: "POLICY_INVALID", field: "services.0.protocol" },
    ],
    [
      "a stickiness of a later version",
      { services: [Service.fromJSON({ name: "a", protocol: "tcp", stickiness: 9 })] },
      { code: "POLICY_INVALID", field: "services.0.stickiness" },
    ],
    ["a file's name", { cedarFiles: { "../up.cedar": "" } }, { code: "POLICY_INVALID", field: "cedar_files" }],
    ["too large a file", { cedarFiles: { "a.cedar": " ".repeat(65_537) } }, { code: "LIMIT_EXCEEDED" }],
    [
      "too many files",
      { cedarFiles: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`${i}.cedar`, ""])) },
      { code: "LIMIT_EXCEEDED" },
    ],
    [
      "too many rules",
      {
        cedarFiles: {
          "a.cedar": "permit(principal,action,resource);".repeat(1_900),
          "b.cedar": "permit(principal,action,resource);".repeat(101),
        },
      },
      { code: "LIMIT_EXCEEDED", file: "b.cedar" },
    ],
  ])("is refused for %s, naming the field", (_what, change, expected) => {
    expect(fault(() => compile(REACH_RULES, change))).toMatchObject(expected);
  });

  it("reads semicolons in strings and comments as what they are", () => {
    const cedar = `// a comment; with a semicolon\n@id("one") permit (${CALL}, resource) when { resource.name == "a;\\";b" // ;\n };@id("two") permit (${CALL}, resource);`;
    expect(Object.keys(compile(cedar).slices.get("tools")?.policies ?? {})).toEqual(["one", "two"]);
  });

  it("warns of names that nobody has and of services without a host", () => {
    const { warnings } = compile(
      `permit (principal in Sallyport::Role::"reeder", ${'action == Sallyport::Action::"dial"'}, resource == Sallyport::Service::"tolls");`,
    );
    expect(warnings).toContain("main.cedar:1: rule main.cedar#1: no workload holds the role reeder");
    expect(warnings).toContain("main.cedar:1: rule main.cedar#1: there is no service tolls");
    expect(warnings).toContain("no workload may host the service tools");
  });

  it("warns of a rule that can never hold", () => {
    const { warnings } = compile(
      'permit (principal, action == Sallyport::Action::"dial", resource == Sallyport::Tool::"tools/echo");',
    );
    expect(warnings.join("\n")).toMatch(/main.cedar:1:1: for policy `main.cedar#1`, policy is impossible/);
  });
});

describe("a slice", () => {
  it("has the rules that can matter for its service, and no other", () => {
    const { slices } = compile(`${REACH_RULES}
      @id("tool") permit (${CALL}, resource == Sallyport::Tool::"secrets/open");
      @id("all-tools") permit (${CALL}, resource in Sallyport::Service::"secrets");
      @id("typed") permit (${CALL}, resource is Sallyport::Tool in Sallyport::Service::"secrets");
      @id("everywhere") forbid (${CALL}, resource) when { resource.name == "drop" };`);
    expect(Object.keys(slices.get("secrets")?.policies ?? {})).toEqual(["all-tools", "everywhere", "tool", "typed"]);
    expect(Object.keys(slices.get("tools")?.policies ?? {})).toEqual(["everywhere", "host-hosts", "reader-dials"]);
  });

  it("has the workloads that can dial or host its service, and no other", () => {
    const { slices } = compile(REACH_RULES);
    expect(slices.get("tools")?.workloads).toEqual([
      { name: "agent", roles: ["reader"] },
      { name: "host", roles: [] },
    ]);
    expect(slices.get("secrets")?.workloads).toEqual([]);
  });

  it.each([
    ["by name", 'principal == Sallyport::Workload::"other", action, resource'],
    ["by attribute", 'principal, action, resource) when { principal.name == "other" } unless { false'],
    [
      "in a condition",
      'principal, action, resource) when { principal in [Sallyport::Workload::"other"]  } unless { false',
    ],
  ])("tells workloads of equal roles apart %s", (_how, scope) => {
    const rule = scope.includes("unless") ? `permit (${scope} };` : `permit (${scope});`;
    expect(compile(rule).slices.get("tools")?.workloads).toEqual([{ name: "other", roles: [] }]);
  });

  it.each([
    ["its role", 'principal in Sallyport::Role::"reader"', ["agent"]],
    ["its type and role", 'principal is Sallyport::Workload in Sallyport::Role::"reader"', ["agent"]],
    ["itself", 'principal in Sallyport::Workload::"other"', ["other"]],
    ["its type", "principal is Sallyport::Workload", ["agent", "host", "other"]],
    ["anyone", "principal", ["agent", "host", "other"]],
  ])("has a workload that a rule permits as %s", (_as, scope, names) => {
    const slice = compile(`permit (${scope}, action, resource);`).slices.get("tools");
    expect(slice?.workloads.map(({ name }) => name)).toEqual(names);
  });

  it("does not take a role for a name", () => {
    const workloads = [
      { name: "agent", roles: ["x"] },
      { name: "b", roles: ["agent", "x"] },
    ];
    const { slices } = compile('permit (principal == Sallyport::Workload::"agent", action, resource);', { workloads });
    expect(slices.get("tools")?.workloads.map(({ name }) => name)).toEqual(["agent"]);
  });

  it("leaves out a workload that a forbid keeps away", () => {
    const { slices } = compile(
      `${REACH_RULES} forbid (principal in Sallyport::Role::"reader", action == Sallyport::Action::"dial", resource);`,
    );
    expect(slices.get("tools")?.workloads).toEqual([{ name: "host", roles: [] }]);
  });

  it("keeps version and bytes when its content stays the same, and needs the deny-list of the change when not", () => {
    const first = compile(REACH_RULES).slices;
    const document = documentOf(
      `${REACH_RULES} @id("echo") permit (${CALL}, resource == Sallyport::Tool::"tools/echo");`,
    );
    const second = compilePolicy(document, { slices: first, version: 2, denyListVersion: 5 }).slices;
    expect([second.get("secrets")?.version, second.get("tools")?.version, second.get("tools")?.needsDenyList]).toEqual([
      1, 2, 5,
    ]);
    expect(second.get("secrets")).toEqual(first.get("secrets"));
    expect(second.get("tools")?.salt).not.toEqual(first.get("tools")?.salt);
  });

  it("has the same bytes but for its salt whatever the order of files, workloads and roles", () => {
    const [one, two] = [
      '@id("a") permit (principal, action, resource);',
      '@id("b") forbid (principal, action, resource) when { false };',
    ];
    const bytes = (change: Partial<PolicyDocument>): string => {
      const slice = Slice.fromPartial({ ...compile("", change).slices.get("tools"), salt: Buffer.alloc(0) });
      return Buffer.from(encodeSlice(slice)).toString("hex");
    };
    const workloads = [
      { name: "x", roles: ["r", "s"] },
      { name: "y", roles: [] },
    ];
    const turned = [
      { name: "y", roles: [] },
      { name: "x", roles: ["s", "r"] },
    ];
    expect(bytes({ cedarFiles: { "1.cedar": one, "2.cedar": two }, workloads })).toBe(
      bytes({ cedarFiles: { "2.cedar": two, "1.cedar": one }, workloads: turned }),
    );
  });
});

describe("stickiness", () => {
  it("is in the slice where a dialer is to stay with a host, and changes nothing where it is said to be none", () => {
    const compiledWith = (stickiness: Stickiness): Slice | undefined => {
      const services = [Service.create({ name: "tools", protocol: "mcp", stickiness })];
      return compile(REACH_RULES, { services }).slices.get("tools");
    };
    expect(compiledWith(Stickiness.STICKINESS_DIALER)?.stickiness).toBe(Stickiness.STICKINESS_DIALER);
    expect(compiledWith(Stickiness.STICKINESS_NONE)?.stickiness).toBe(
      compiledWith(Stickiness.STICKINESS_UNSPECIFIED)?.stickiness,
    );
  });
});
