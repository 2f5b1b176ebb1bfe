/**
 * The negative controls that need no network: the same steps, with the agent connected straight to the server.
 * Where nothing guards, every step that claims a guard must be red.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { Event } from "@sallyport/proto/audit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Agent } from "./agent.ts";
import { callableTools, cast, rules, services } from "./cast.ts";
import { everythingServer, filesServer } from "./hosted-servers.ts";
import type { Ran, Sallyport } from "./sallyport.ts";
import { allowedCall } from "./steps/allowed-call.ts";
import { audited } from "./steps/audited.ts";
import { dark } from "./steps/dark.ts";
import { deniedArgument } from "./steps/denied-argument.ts";
import { deniedTool } from "./steps/denied-tool.ts";
import { revoked } from "./steps/revoked.ts";
import { toolsListed } from "./steps/tools-listed.ts";

let everything: Agent;
let files: Agent;
const onEverything = { agentName: cast.demoAgent, service: services.everything };

beforeAll(async () => {
  everything = await Agent.connect(everythingServer());
  files = await Agent.connect(filesServer(join(import.meta.dirname, "../folder")));
});
afterAll(async () => {
  await everything[Symbol.asyncDispose]();
  await files[Symbol.asyncDispose]();
});

test("tools-listed is red where every tool is shown", async () => {
  const { length: offered } = await everything.tools();
  const step = toolsListed({ ...onEverything, agent: everything, callable: callableTools, offered });
  await expect(step).rejects.toThrow(/the agent sees .*get-env/);
});

test("tools-listed is red where a tool that may be called is hidden", async () => {
  const all = await everything.tools();
  const step = toolsListed({ ...onEverything, agent: everything, callable: [...all, "one-more"], offered: 99 });
  await expect(step).rejects.toThrow("one-more");
});

test("tools-listed is red where nothing was hidden, because the server has no more", async () => {
  const all = await everything.tools();
  const step = toolsListed({ ...onEverything, agent: everything, callable: all, offered: all.length });
  await expect(step).rejects.toThrow("nothing was hidden");
});

test("allowed-call is red on another answer", async () => {
  const call = { ...onEverything, agent: everything, tool: "get-sum", arguments: { a: 19, b: 23 } };
  await expect(allowedCall({ ...call, answers: "43" })).rejects.toThrow('without "43"');
  await expect(allowedCall({ ...call, answers: "42" })).resolves.toMatchObject({ facts: { tool: "get-sum" } });
});

test("allowed-call is red on an error", async () => {
  const call = { ...onEverything, agent: everything, tool: "get-sum", arguments: { a: "x" }, answers: "" };
  await expect(allowedCall(call)).rejects.toThrow("was answered with an error");
});

test("denied-tool is red where the tool answers", async () => {
  const step = deniedTool({ ...onEverything, agent: everything, tool: "get-env", rule: rules.noEnvironment });
  await expect(step).rejects.toThrow("get-env answered");
});

test("denied-argument is red where the argument gets through", async () => {
  const step = deniedArgument({
    agentName: cast.demoAgent,
    service: services.files,
    agent: files,
    tool: "read_text_file",
    arguments: { path: "payroll/salaries.csv" },
    rule: rules.handbookOnly,
  });
  await expect(step).rejects.toThrow("was not refused, it answered: name,salary");
});

test("denied-argument is red where the server itself refuses, without a decision", async () => {
  const step = deniedArgument({
    agentName: cast.demoAgent,
    service: services.files,
    agent: files,
    tool: "read_text_file",
    arguments: { path: "/etc/shadow" },
    rule: rules.handbookOnly,
  });
  await expect(step).rejects.toThrow("carries no decision");
});

test("dark is red where the hosting side listens", async () => {
  const listen = `require("net").createServer().listen(0, "127.0.0.1", () => console.log("up")); require("child_process").spawn("sleep", ["60"])`;
  const host = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  try {
    await once(host.stdout, "data");
    await expect(dark([{ service: "open", pid: host.pid ?? 0 }])).rejects.toThrow(/listens on tcp 127\.0\.0\.1:\d+/);
  } finally {
    process.kill(-(host.pid ?? 0), "SIGKILL");
  }
});

test("dark is red where an open UDP socket would take anybody's datagram", async () => {
  const listen = `require("dgram").createSocket("udp4").bind(0, "127.0.0.1", () => console.log("up")); require("child_process").spawn("sleep", ["60"])`;
  const host = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  try {
    await once(host.stdout, "data");
    await expect(dark([{ service: "open", pid: host.pid ?? 0 }])).rejects.toThrow(/listens on udp 127\.0\.0\.1:\d+/);
  } finally {
    process.kill(-(host.pid ?? 0), "SIGKILL");
  }
});

test("dark is red where there is nothing to look at", async () => {
  await expect(dark([])).rejects.toThrow("no hosting side");
  const lonely = spawn("sleep", ["60"], { stdio: "ignore" });
  await expect(dark([{ service: "lonely", pid: lonely.pid ?? 0 }])).rejects.toThrow("found 1 processes");
  lonely.kill();
});

test("dark is not disturbed by what others listen on", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  const host = spawn("sh", ["-c", "sleep 60; true"], { stdio: "ignore", detached: true });
  await once(host, "spawn");
  await expect
    .poll(() => dark([{ service: "quiet", pid: host.pid ?? 0 }]))
    .toMatchObject({ facts: { "quiet.listening": 0 } });
  process.kill(-(host.pid ?? 0), "SIGKILL");
  other.close();
});

test("revoked is red where the cut does not happen", async () => {
  const now = (): number => performance.now();
  const powerless = {
    succeed: (): Promise<Ran> =>
      Promise.resolve({ status: 0, stdout: "", stderr: "", startedAt: now(), endedAt: now() }),
  } as unknown as Sallyport; // A command that claims success and does nothing.
  const agent = await Agent.connect(everythingServer());
  const step = revoked({ ...onEverything, sallyport: powerless, agent, subject: cast.demoAgent });
  await expect(step).rejects.toThrow("it did not come to pass in 5000 ms that the revocation cut the stream");
  await agent[Symbol.asyncDispose]();
});

const row = {
  what: "the refused get-env",
  fields: { kind: "call.refused", decision: "deny", ruleIds: ["r1"] },
};
const event = Event.fromPartial({ kind: "call.refused", decision: "deny", ruleIds: ["r1"], argumentsJson: "{}" });
const recordOf = (
  ...events: readonly Event[]
): { search: () => Promise<{ events: Event[] }>; sinceUnixMs: number; patienceMs: number } => ({
  search: () => Promise.resolve({ events: [...events] }),
  sinceUnixMs: 0,
  patienceMs: 250,
});

test("audited is red where a row is missing", async () => {
  await expect(audited({ ...recordOf(), rows: [row] })).rejects.toThrow("not on record: the refused get-env");
});

test.each([
  { ...event, decision: "allow" },
  { ...event, ruleIds: ["r2"] },
])("audited is red where a row says something else: %o", async (other) => {
  await expect(audited({ ...recordOf(other), rows: [row] })).rejects.toThrow("1 of 1 rows come near");
});

test("audited is red where nothing was asked for", async () => {
  await expect(audited({ ...recordOf(event), rows: [] })).rejects.toThrow("no row was asked for");
});

test("audited holds where a row arrives late", async () => {
  let searches = 0;
  const search = (): Promise<{ events: Event[] }> => {
    searches += 1;
    return Promise.resolve({
      events:
        searches < 3 ? [] : [{ ...event, vantage: "host", actorName: "a", service: "s", tool: "t", outcome: "denied" }],
    });
  };
  await expect(audited({ search, sinceUnixMs: 0, rows: [row] })).resolves.toMatchObject({ facts: { rows: 1 } });
});
