import { afterEach, describe, expect, test } from "vitest";
import type { Connector } from "../../connector/connector.ts";
import { connectorWorld, type ConnectorWorld } from "../../connector/connector-world.test-support.ts";
import { ClientPipes } from "./client-pipes.test-support.ts";
import { dialStdio, type DialStdioEnd } from "./dial-stdio.ts";
import { hostMcp, type McpHosting } from "./host-mcp.ts";
import { everythingServer, toolRules } from "./mcp-world.test-support.ts";

let world: ConnectorWorld;
const owned: AsyncDisposable[] = [];

afterEach(async () => {
  for (const owner of owned.splice(0).toReversed()) await owner[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const initialize = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "client", version: "1" } },
};

async function hosted(host: Connector): Promise<McpHosting> {
  const hosting = await hostMcp({
    connector: host,
    service: "files",
    command: process.execPath,
    args: [everythingServer, "stdio"],
  });
  owned.push(hosting);
  await hosting.hosting.ready;
  return hosting;
}

function dial(
  connector: Connector,
  options: { readonly redialForMs?: number } = {},
): { readonly pipes: ClientPipes; readonly end: Promise<DialStdioEnd> } {
  const pipes = new ClientPipes();
  return {
    pipes,
    end: dialStdio({ connector, service: "files", stdin: pipes.stdin, stdout: pipes.stdout, ...options }),
  };
}

describe("sallyport mcp", () => {
  test("speaks with a dark server, ends when its client does, and both sides have the call on record", async () => {
    world = await connectorWorld({ rules: toolRules, protocol: "mcp" });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    await hosted(host);
    const { pipes, end } = dial(agent);
    void pipes.send(initialize);
    expect(await pipes.answer(0)).toMatchObject({ result: { serverInfo: { name: "mcp-servers/everything" } } });
    void pipes.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    void pipes.send({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "echo", arguments: { message: "hi" } },
    });
    expect(await pipes.answer(1)).toMatchObject({ result: { content: [{ text: "Echo: hi" }] } });
    pipes.stdin.end();
    expect(await end).toStrictEqual({ kind: "ended" });
    await agent.flushAudit();
    await host.flushAudit();
    const calls = world.router.events.filter(({ kind }) => kind === "call.finished");
    expect(calls.map(({ vantage }) => vantage).toSorted()).toStrictEqual(["dialer", "host"]);
    expect(
      new Set(
        calls.map(({ argumentsSha256, resultSha256, outcome }) => `${argumentsSha256} ${resultSha256} ${outcome}`),
      ).size,
    ).toBe(1);
  });

  test("answers the first request of a refused client with the reason and the decision, and then ends", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const stranger = await world.connector("stranger");
    const { pipes, end } = dial(stranger);
    void pipes.send(initialize);
    const refused = await end;
    expect(refused).toMatchObject({ kind: "refused", error: { code: "DIAL_REFUSED" } });
    const { decisionId } = (refused.kind === "refused" && refused.error.refusal) || { decisionId: "none" };
    expect(await pipes.answer(0)).toMatchObject({
      error: {
        code: -31_403,
        message: expect.stringContaining(decisionId),
        data: { code: "POLICY_DENIED", decisionId },
      },
    });
  });

  test("answers a client that probes for the newer revision first, and its handshake after that", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const { pipes, end } = dial(await world.connector("stranger"));
    void pipes.send({ jsonrpc: "2.0", id: 7, method: "server/discover", params: {} });
    expect(await pipes.answer(7)).toMatchObject({ error: { code: -31_403 } });
    void pipes.send(initialize);
    expect(await pipes.answer(0)).toMatchObject({ error: { code: -31_403 } });
    expect((await end).kind).toBe("refused");
  });

  test("tells a client whose service nobody hosts that it is so", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const { pipes, end } = dial(await world.connector("agent"));
    void pipes.send(initialize);
    expect(await pipes.answer(0)).toMatchObject({ error: { message: expect.stringContaining("nobody hosts files") } });
    expect((await end).kind).toBe("refused");
  });

  test("ends for a refused client that says nothing and goes away", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const { pipes, end } = dial(await world.connector("stranger"));
    pipes.stdin.end();
    expect((await end).kind).toBe("refused");
  });

  test("answers what waits when a revocation cuts the circuit", async () => {
    world = await connectorWorld({ rules: toolRules, protocol: "mcp" });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    await hosted(host);
    const { pipes, end } = dial(agent);
    void pipes.send(initialize);
    await pipes.answer(0);
    void pipes.send({
      jsonrpc: "2.0",
      id: 5,
      method: "tools/call",
      params: { name: "trigger-long-running-operation", arguments: { duration: 30, steps: 2 } },
    });
    await host.flushAudit();
    await world.router.until(() =>
      world.router.events.some(({ kind, vantage }) => kind === "call.started" && vantage === "host"),
    );
    world.policy.deny("agent");
    expect(await pipes.answer(5)).toMatchObject({
      error: { code: -31_503, message: expect.stringMatching(/no longer allowed|revoked/) },
    });
    expect(await end).toMatchObject({ kind: "cut", error: { code: "CIRCUIT_REVOKED" } });
  });
});

test("a host that is closed ends its servers' processes", async () => {
  world = await connectorWorld({ rules: toolRules, protocol: "mcp" });
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const pids: number[] = [];
  const hosting = await hostMcp({
    connector: host,
    service: "files",
    command: process.execPath,
    args: [everythingServer, "stdio"],
    onProcess: ({ pid }) => pids.push(pid),
  });
  await hosting.hosting.ready;
  const { pipes, end } = dial(agent, { redialForMs: 300 });
  void pipes.send(initialize);
  await pipes.answer(0);
  await hosting[Symbol.asyncDispose]();
  expect((await end).kind).toBe("cut");
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  expect(pids.length).toBe(1);
});

test("a command that is not there is told before anything is announced", async () => {
  world = await connectorWorld({ protocol: "mcp" });
  const host = await world.connector("host");
  await expect(hostMcp({ connector: host, service: "files", command: "no-such-server" })).rejects.toMatchObject({
    code: "COMMAND_NOT_FOUND",
  });
  expect(world.router.hosted.has("files")).toBe(false);
});
