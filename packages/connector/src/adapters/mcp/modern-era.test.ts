import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type CallToolResult } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decisionKey } from "./answers.ts";
import { everythingServer, mcpWorld } from "./mcp-world.test-support.ts";

/** A server of revision 2026-07-28 on stdio: no handshake, every result says what it is, its list is for everybody. */
const modernServer = String.raw`
import { createInterface } from "node:readline";
const tool = (name) => ({ name, description: name, inputSchema: { type: "object" } });
const answers = {
  "server/discover": () => ({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, serverInfo: { name: "modern", version: "1" }, ttlMs: 60000, cacheScope: "public" }),
  "tools/list": () => ({ tools: ["echo", "get-env", "get-sum"].map(tool), ttlMs: 60000, cacheScope: "public" }),
  "tools/call": ({ name, arguments: args }) => ({ content: [{ type: "text", text: name + " " + JSON.stringify(args) }] }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = answers[method];
  const body = answer ? { result: { resultType: "complete", ...answer(params) } } : { error: { code: -32601, message: "Method not found" } };
  console.log(JSON.stringify({ jsonrpc: "2.0", id, ...body }));
}
`;

let folder: string;
let script: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modern-test-"));
  await chmod(folder, 0o755);
  script = join(folder, "server.mjs");
  await writeFile(script, modernServer);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("revision 2026-07-28, with the official client pinned to it", () => {
  test("lists what may be called, and makes a filtered list private to its caller", async () => {
    await using world = await mcpWorld(script, []);
    const client = await pinned(world.transport);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toStrictEqual(["echo", "get-sum"]);
    const list = world.transport.received.map(String).find((line) => line.includes('"tools":[')) ?? "";
    expect(list).toContain('"cacheScope":"private"');
    await client.close();
  });

  test("decides calls, answers a refused argument as a complete result, and records the revision", async () => {
    await using world = await mcpWorld(script, []);
    const client = await pinned(world.transport);
    const allowed = (await client.callTool({ name: "echo", arguments: { message: "hi" } })) as CallToolResult;
    expect(allowed.content).toStrictEqual([{ type: "text", text: 'echo {"message":"hi"}' }]);
    const refused = await client.callTool({ name: "get-sum", arguments: { a: 1000, b: 1 } });
    expect(refused).toMatchObject({ isError: true, _meta: { [decisionKey]: { ruleIds: ["small-sums"] } } });
    expect(
      world.transport.received
        .map(String)
        .some((line) => line.includes("Denied by policy") && line.includes('"resultType":"complete"')),
    ).toBe(true);
    await expect(client.callTool({ name: "get-env", arguments: {} })).rejects.toMatchObject({ code: -32_602 });
    expect(world.events.find(({ kind }) => kind === "call.finished")).toMatchObject({
      protocolVersion: "2026-07-28",
      outcome: "ok",
    });
    await client.close();
  });
});

test("a client that tries the new revision first falls back with a server of the old one", async () => {
  await using world = await mcpWorld(everythingServer);
  const client = new Client({ name: "agent", version: "1" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(world.transport);
  expect((await client.listTools()).tools.length).toBe(3);
  await client.close();
});

async function pinned(transport: Parameters<Client["connect"]>[0]): Promise<Client> {
  const client = new Client({ name: "agent", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  await client.connect(transport);
  return client;
}
