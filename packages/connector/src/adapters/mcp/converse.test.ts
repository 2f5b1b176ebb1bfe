import { randomUUID } from "node:crypto";
import { Client, type CallToolResult } from "@modelcontextprotocol/client";
import { sha256Hex } from "@sallyport/identity";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decisionKey } from "./answers.ts";
import { mcpWorld, type McpWorld } from "./mcp-world.test-support.ts";

let world: McpWorld;
let client: Client;

beforeEach(async () => {
  world = await mcpWorld();
  client = new Client({ name: "agent", version: "1" });
  await client.connect(world.transport);
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

const textOf = (result: unknown): string => {
  const [block] = (result as CallToolResult).content;
  return block?.type === "text" ? block.text : "";
};

describe("the real everything server behind a circuit", () => {
  test("lists exactly the tools that this caller may call under some arguments", async () => {
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toStrictEqual(["echo", "get-sum", "trigger-long-running-operation"]);
    const listed = world.events.find(({ kind }) => kind === "tools.listed");
    expect(Number(listed?.attributes?.["hidden"])).toBeGreaterThan(5);
  });

  test("what stays in the list keeps its original text", async () => {
    await client.listTools();
    const list = world.lines.fromServer.map(String).find((line) => line.includes('"tools":[')) ?? "";
    const echo = /\{"name":"echo",.*?"taskSupport":"forbidden"\}\}/.exec(list)?.[0] ?? "missing";
    expect(world.transport.received.map(String).some((line) => line.includes(echo))).toBe(true);
  });

  test("an allowed call and its answer cross as their original bytes", async () => {
    const odd =
      '{ "params" : {"arguments":{"message":"h\\u0069 \\/ 1.0e1"} ,"name":"ec\\u0068o"}, "id":"\\u0041", "method":"tools/call","jsonrpc":"2.0" }\n';
    const answer = await world.transport.sendRaw(odd, (line) => line.includes('"id":"A"'));
    expect(world.lines.toServer.map(String)).toContain(odd);
    expect(world.lines.fromServer.map(String)).toContain(answer);
    expect(answer).toContain("Echo: hi / 1.0e1");
  });

  test("a call is on record with its decision, redacted arguments, their hash, its outcome and duration", async () => {
    const args = { message: "hello", password: "hunter2" };
    expect(textOf(await client.callTool({ name: "echo", arguments: args }))).toBe("Echo: hello");
    const [started, done] = world.events.filter(({ kind }) => kind.startsWith("call."));
    expect(started).toMatchObject({
      kind: "call.started",
      tool: "echo",
      decision: "allow",
      ruleIds: ["echo"],
      sliceVersion: 2,
    });
    expect(started?.argumentsJson).toBe('{"message":"hello","password":"[redacted]"}');
    expect(started?.argumentsSha256).toBe(sha256Hex(Buffer.from(JSON.stringify(args))));
    expect(done).toMatchObject({
      kind: "call.finished",
      callId: started?.callId,
      outcome: "ok",
      resultPreview: "Echo: hello",
      protocolVersion: "2025-11-25",
    });
    expect(done?.durationUs).toBeGreaterThan(0);
  });

  test("a forbidden tool is unknown to the caller, who still learns rule and decision", async () => {
    const refusal = await client.callTool({ name: "get-env", arguments: {} }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: -32_602,
      message: expect.stringContaining("Unknown tool: get-env"),
      data: { ruleIds: ["no-environment"] },
    });
    const record = world.events.find(({ kind }) => kind === "call.refused");
    expect(record).toMatchObject({
      tool: "get-env",
      decision: "deny",
      outcome: "denied",
      decisionId: Object(refusal).data.decisionId,
    });
    expect(world.lines.toServer.map(String).join("")).not.toContain("get-env");
  });

  test("a tool that exists but is not permitted is answered like one that does not exist", async () => {
    const answer = async (name: string): Promise<string> => {
      const refusal: unknown = await client.callTool({ name, arguments: {} }).catch((error: unknown) => error);
      const { code, message, data } = Object(refusal);
      return JSON.stringify({ code, message, data }).replaceAll(name, "NAME").replace(data.decisionId, "ID");
    };
    expect(await answer("get-tiny-image")).toBe(await answer(`no-such-${randomUUID()}`));
  });

  test("a refused argument is a result that the model can read", async () => {
    const result = await client.callTool({ name: "get-sum", arguments: { a: 1, b: 101 } });
    expect(result).toMatchObject({
      isError: true,
      _meta: { [decisionKey]: { ruleIds: ["small-sums"], sliceVersion: 2 } },
    });
    expect(textOf(result)).toMatch(
      /^Denied by policy small-sums: .*both numbers at most 100 \(decision [0-9a-f-]{36}\)$/,
    );
    expect(textOf(await client.callTool({ name: "get-sum", arguments: { a: 1, b: 100 } }))).toContain("101");
  });
});

describe("a call that is smuggled past the parser does not reach the server", () => {
  test.each([
    ["a second name", '{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"echo","name":"get-env"}}'],
    [
      "a name in another case",
      '{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"echo","Name":"get-env"}}',
    ],
    ["params in another case alone", '{"jsonrpc":"2.0","id":77,"method":"tools/call","PARAMS":{"name":"get-env"}}'],
    [
      "a method in another case",
      '{"jsonrpc":"2.0","id":77,"method":"ping","METHOD":"tools/call","params":{"name":"get-env"}}',
    ],
    ["a batch", '[{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"get-env"}}]'],
    ["a method that is nobody's", '{"jsonrpc":"2.0","id":77,"method":"tools/Call","params":{"name":"get-env"}}'],
    [
      "a message between two carriage returns, which a Python server reads as a line of its own",
      '{"jsonrpc":"2.0","id":77,"method":"ping","params":{"x":\r{"jsonrpc":"2.0","id":78,"method":"tools/call","params":{"name":"get-env"}}\r}}',
    ],
    [
      "a carriage return before a second message",
      '{"jsonrpc":"2.0","id":77,"method":"ping"}\r{"jsonrpc":"2.0","id":78,"method":"tools/call","params":{"name":"get-env"}}',
    ],
  ])("%s", async (_, line) => {
    const answer = await world.transport.sendRaw(`${line}\n`, (received) => received.includes('"error"'));
    expect(JSON.parse(answer)).toMatchObject({ error: { code: expect.any(Number) } });
    expect(world.lines.toServer.map(String).join("")).not.toContain("get-env");
  });

  test("a tools/call without an id, which would ask for no answer", async () => {
    world.circuit.write('{"jsonrpc":"2.0","method":"tools/call","params":{"name":"get-env"}}\n');
    await client.ping();
    expect(world.lines.toServer.map(String).join("")).not.toContain("get-env");
  });

  test("a tools/call without arguments by name, which is on record with what was sent", async () => {
    const line = '{"jsonrpc":"2.0","id":"p","method":"tools/call","params":{"name":"echo","arguments":["hunter2"]}}\n';
    expect(await world.transport.sendRaw(line, (answer) => answer.includes('"id":"p"'))).toContain("needs a name");
    expect(world.events.at(-1)).toMatchObject({
      kind: "call.refused",
      tool: "echo",
      outcome: "denied",
      errorCode: "PARAMS_INVALID",
      argumentsSha256: sha256Hex(Buffer.from('["hunter2"]')),
    });
  });

  test("an id that is in flight, which would take the answer of a list for that of a ping", async () => {
    const slow =
      '{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"trigger-long-running-operation","arguments":{"duration":1,"steps":1}}}\n';
    world.circuit.write(slow);
    const answer = await world.transport.sendRaw('{"jsonrpc":"2.0","id":9,"method":"tools/list"}\n', (line) =>
      line.includes("is in use"),
    );
    expect(JSON.parse(answer)).toMatchObject({ id: null, error: { code: -32_600 } });
  });
});

describe("the end of a conversation", () => {
  test("a caller that ends it ends the server's process, and an open call is on record as disconnected", async () => {
    const call = client.callTool({ name: "trigger-long-running-operation", arguments: { duration: 20, steps: 2 } });
    call.catch(() => undefined);
    await client.ping();
    world.circuit.end();
    await world.conversation;
    expect((await world.process.ended).kind).not.toBe("failed");
    expect(world.events.at(-1)).toMatchObject({ kind: "call.finished", outcome: "disconnected" });
  });

  test("a circuit that is revoked ends the process, and the record says so", async () => {
    const call = client.callTool({ name: "trigger-long-running-operation", arguments: { duration: 20, steps: 2 } });
    call.catch(() => undefined);
    await client.ping();
    world.circuit.reset(6);
    await world.conversation;
    expect(world.events.at(-1)).toMatchObject({ kind: "call.finished", outcome: "revoked" });
  });

  test("a line over 4 MiB ends it", async () => {
    world.circuit.write(Buffer.alloc(4 * 1024 * 1024 + 1, 32));
    await world.conversation;
    expect(await world.circuit.closedBy).toMatchObject({ kind: "reset" });
  });
});
