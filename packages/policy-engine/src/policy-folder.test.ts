import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { Stickiness } from "@sallyport/proto/policy";
import { compilePolicy } from "./compile-policy.ts";
import { PolicyAuthority, workload } from "./policy-authority.test-support.ts";
import { readPolicyFolder } from "./policy-folder.ts";

const FIRST_LIGHT = fileURLToPath(new URL("../../first-light/policy", import.meta.url));

async function folderOf(files: Record<string, string | Uint8Array>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-policy-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

describe("readPolicyFolder", () => {
  it("reads policy.json and every .cedar file below the folder", async () => {
    const folder = await folderOf({
      "policy.json": '{"workloads":[{"name":"a","roles":["r"]}],"services":[{"name":"s","protocol":"tcp"}]}',
      "one.cedar": "// one",
      "deep/two.cedar": "// two",
      "notes.md": "not policy",
    });
    expect(await readPolicyFolder(folder)).toEqual({
      cedarFiles: { "one.cedar": "// one", "deep/two.cedar": "// two" },
      workloads: [{ name: "a", roles: ["r"] }],
      services: [{ name: "s", protocol: "tcp", description: "", stickiness: Stickiness.STICKINESS_NONE }],
    });
  });

  it.each([
    ["no such folder", {}, /policy.json cannot be read/],
    ["no cedar file", { "policy.json": "{}" }, /has no .cedar file/],
    [
      "broken JSON",
      { "policy.json": '{\n  "workloads": [],\n}', "a.cedar": "" },
      /policy.json:3:1: policy.json is not JSON/,
    ],
    [
      "a misspelt member",
      { "policy.json": '{"workloads":[{"name":"a","role":["r"]}]}', "a.cedar": "" },
      /policy.json: workloads.0 has the unknown member "role"/,
    ],
    [
      "a role that is no string",
      { "policy.json": '{"workloads":[{"name":"a","roles":[1]}]}', "a.cedar": "" },
      /workloads.0.roles.0 must be a string/,
    ],
    [
      "a stickiness that nobody knows",
      { "policy.json": '{"services":[{"name":"s","protocol":"tcp","stickiness":"source"}]}', "a.cedar": "" },
      /services.0.stickiness is "source"; it must be none or dialer/,
    ],
    ["text that is not UTF-8", { "policy.json": "{}", "a.cedar": Uint8Array.of(0xff, 0xfe) }, /a.cedar is not UTF-8/],
  ])("refuses a folder with %s and says where", async (_what, files, message) => {
    await expect(readPolicyFolder(await folderOf(files))).rejects.toThrow(message);
  });
});

it("reads which services a dialer is to stay with", async () => {
  const services = ["none", "dialer"].map((stickiness) => ({ name: stickiness, protocol: "tcp", stickiness }));
  const folder = await folderOf({ "policy.json": JSON.stringify({ services }), "a.cedar": "" });
  const read = await readPolicyFolder(folder);
  expect(read.services.map(({ stickiness }) => stickiness)).toEqual([
    Stickiness.STICKINESS_NONE,
    Stickiness.STICKINESS_DIALER,
  ]);
});

describe("the policy of the first minute", () => {
  it("compiles without a warning", async () => {
    const { slices, warnings } = compilePolicy(await readPolicyFolder(FIRST_LIGHT), {
      slices: new Map(),
      version: 1,
      denyListVersion: 1,
    });
    expect(warnings).toEqual([]);
    expect(slices.get("files")?.workloads.map(({ name }) => name)).toEqual(["demo-agent", "files-host"]);
  });

  it("lets the agent do what its files say, and nothing else", async () => {
    const policy = await PolicyAuthority.create();
    policy.compile(await readPolicyFolder(FIRST_LIGHT));
    const state = policy.state();
    policy.publishTo(state);
    const [agent, stranger] = [workload("demo-agent"), workload("stranger")];
    const call = (service: string, tool: string, args: unknown): string => {
      const { decision, ruleIds } = state.decideCall(agent, service, tool, args);
      return `${decision} ${ruleIds.join(" ")}`.trim();
    };
    expect(state.decideDial(stranger, "everything")).toMatchObject({ decision: "deny", code: "POLICY_DENIED" });
    expect(state.decideHost(agent, "files").decision).toBe("deny");
    expect(call("everything", "echo", { message: "hello" })).toBe("allow reader-echo");
    expect(call("everything", "get-sum", { a: 40, b: 2 })).toBe("allow reader-small-sums");
    expect(call("everything", "get-sum", { a: 40, b: 1000 })).toBe("deny reader-small-sums");
    expect(call("everything", "get-env", {})).toBe("deny no-environment");
    expect(call("everything", "trigger-long-running-operation", { duration: 60, steps: 600 })).toBe(
      "allow reader-long-operation",
    );
    expect(call("files", "read_text_file", { path: "handbook/welcome.md" })).toBe("allow reader-handbook");
    expect(call("files", "list_directory", { path: "handbook" })).toBe("allow reader-handbook");
    expect(call("files", "read_text_file", { path: "payroll/salaries.csv" })).toBe("deny reader-handbook");
    expect(call("files", "read_text_file", { path: "handbook/../payroll/salaries.csv" })).toBe("deny no-climbing");
    expect(call("files", "read_text_file", { path: ["handbook/welcome.md"] })).toBe("deny reader-handbook");
    expect(call("files", "write_file", { path: "handbook/welcome.md", content: "" })).toBe("deny");
    const tools = [
      "read_text_file",
      "read_multiple_files",
      "write_file",
      "list_directory",
      "list_allowed_directories",
      "move_file",
    ];
    expect([...state.visibleTools(agent, "files", tools)]).toEqual(["read_text_file", "list_directory"]);
  });
});
