import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectorWorld, type ConnectorWorld } from "../../connector/connector-world.test-support.ts";
import { ClientPipes } from "./client-pipes.test-support.ts";
import { dialStdio, type DialStdioEnd } from "./dial-stdio.ts";
import { hostMcp } from "./host-mcp.ts";
import { everythingServer, toolRules } from "./mcp-world.test-support.ts";

/**
 * A server of both eras whose tool has a side effect: it appends its message to a file before it answers, and never answers one that begins
 * with "hang". What it answers to a handshake depends on how often it was started.
 */
const writingServer = String.raw`
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
const folder = process.argv[2];
appendFileSync(folder + "/starts", "x");
const plans = JSON.parse(readFileSync(folder + "/plans.json", "utf8"));
const plan = plans[Math.min(plans.length, readFileSync(folder + "/starts").length) - 1];
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } }));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method === "notifications/initialized") appendFileSync(folder + "/initialized", "x");
  if (method === "initialize" && plan.answers) answer(id, { protocolVersion: plan.version, capabilities: plan.capabilities, serverInfo: { name: "writing", version: "1" } });
  if (method === "server/discover") answer(id, { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, serverInfo: { name: "writing", version: "1" }, ttlMs: 60000, cacheScope: "public" });
  if (method === "tools/list") answer(id, { tools: [{ name: "echo", inputSchema: { type: "object" } }], ttlMs: 0, cacheScope: "public" });
  if (method === "tools/call") {
    appendFileSync(folder + "/executed", params.arguments.message + "\n");
    if (!params.arguments.message.startsWith("hang")) answer(id, { content: [{ type: "text", text: params.arguments.message }] });
  }
}
`;

interface ServerPlan {
  readonly answers: boolean;
  readonly version: string;
  readonly capabilities: object;
}

const plain: ServerPlan = { answers: true, version: "2025-11-25", capabilities: { tools: { listChanged: true } } };

let world: ConnectorWorld;
let folder: string;
const owned: AsyncDisposable[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dial-again-test-"));
  await chmod(folder, 0o777);
  await writeFile(join(folder, "server.mjs"), writingServer);
});

afterEach(async () => {
  for (const owner of owned.splice(0).toReversed()) await owner[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Session {
  readonly pipes: ClientPipes;
  readonly end: Promise<DialStdioEnd>;
  /** Ends when the agent's own record is stored. */
  readonly flush: () => Promise<void>;
}

/** A client's session with a hosted server, as `sallyport mcp files` has it. */
async function session(server: readonly string[], options: { readonly redialForMs?: number } = {}): Promise<Session> {
  world = await connectorWorld({ rules: toolRules, protocol: "mcp" });
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const command = { command: process.execPath, args: server, unconfined: true };
  const hosted = await hostMcp({ connector: host, service: "files", ...command });
  owned.push(hosted);
  await hosted.hosting.ready;
  const pipes = new ClientPipes();
  const { stdin, stdout } = pipes;
  const end = dialStdio({ connector: agent, service: "files", stdin, stdout, ...options });
  return { pipes, end, flush: () => agent.flushAudit() };
}

async function writing(...plans: readonly ServerPlan[]): Promise<readonly string[]> {
  await writeFile(join(folder, "plans.json"), JSON.stringify(plans));
  return [join(folder, "server.mjs"), folder];
}

async function linesOf(name: string): Promise<readonly string[]> {
  const content = await readFile(join(folder, name), "utf8").catch(() => "");
  return content.split("\n").filter((line) => line !== "");
}

function call(id: number, message: string): object {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name: "echo", arguments: { message } } };
}

const initialize = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "client", version: "1" } },
};
const initialized = { jsonrpc: "2.0", method: "notifications/initialized" };

async function greeted({ pipes }: Session): Promise<void> {
  await pipes.send(initialize);
  await pipes.answer(0);
  await pipes.send(initialized);
}

/** Cuts every tunnel, and waits until both workloads have noticed: what is sent then is sent between two circuits. */
async function cut(): Promise<void> {
  const losses = (): number => world.log.lines.filter((line) => line.startsWith("tunnel lost")).length;
  const before = losses();
  world.router.crash();
  await expect.poll(losses).toBeGreaterThanOrEqual(before + 2);
}

const unknownOutcome = {
  error: { code: -31_503, message: expect.stringContaining("unknown"), data: { outcome: "unknown" } },
};

describe("a circuit that is cut under the official client and the real everything server", () => {
  test("between two calls is not noticed, but for the notice that lists may have changed", async () => {
    const { pipes, end, flush } = await session([everythingServer, "stdio"]);
    const client = new Client({ name: "agent", version: "1" });
    await client.connect(pipes);
    const echo = { name: "echo", arguments: { message: "hi" } };
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: "Echo: hi" }] });
    await cut();
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: "Echo: hi" }] });
    expect((await client.listTools()).tools.length).toBe(3);
    expect(pipes.found({ method: "notifications/tools/list_changed" }).length).toBeGreaterThan(0);
    await client.close();
    expect(await end).toStrictEqual({ kind: "ended" });
    await flush();
    const opened = world.router.events.filter(({ kind, vantage }) => kind === "circuit.opened" && vantage === "dialer");
    expect(new Set(opened.map(({ circuitId }) => circuitId)).size).toBe(2);
  });

  test("in the middle of a call fails that call, and the next succeeds", async () => {
    const { pipes, flush } = await session([everythingServer, "stdio"]);
    const client = new Client({ name: "agent", version: "1" });
    await client.connect(pipes);
    const slow = client.callTool({ name: "trigger-long-running-operation", arguments: { duration: 60, steps: 2 } });
    slow.catch(() => undefined);
    const isRunning = (): boolean =>
      world.router.events.some(({ kind, vantage }) => kind === "call.started" && vantage === "host");
    await world.router.until(isRunning);
    world.router.crash();
    await expect(slow).rejects.toMatchObject({ code: -31_503 });
    const echo = await client.callTool({ name: "echo", arguments: { message: "hi" } });
    expect(echo).toMatchObject({ content: [{ text: "Echo: hi" }] });
    await client.close();
    await flush();
    const finished = world.router.events.filter(
      ({ kind, vantage }) => kind === "call.finished" && vantage === "dialer",
    );
    expect(finished.map(({ outcome }) => outcome)).toStrictEqual([
      expect.stringMatching(/truncated|disconnected/),
      "ok",
    ]);
    expect(new Set(finished.map(({ circuitId }) => circuitId)).size).toBe(2);
  });
});

describe("a request", () => {
  test("that no circuit took waits for the next one, and is sent once", async () => {
    const running = await session(await writing(plain));
    const { pipes } = running;
    await greeted(running);
    world.router.admits = false;
    await cut();
    await pipes.send(call(1, "while away"));
    await pipes.send(call(2, "while away as well"));
    world.router.admits = true;
    expect(await pipes.answer(1)).toMatchObject({ result: { content: [{ text: "while away" }] } });
    expect(await pipes.answer(2)).toMatchObject({ result: { content: [{ text: "while away as well" }] } });
    expect(await linesOf("executed")).toStrictEqual(["while away", "while away as well"]);
    await pipes.close();
  });

  test("that a lost circuit took is answered as unknown, and never sent again", async () => {
    const running = await session(await writing(plain));
    const { pipes } = running;
    await greeted(running);
    for (let round = 1; round <= 5; round += 1) {
      await pipes.send(call(round, `hang ${round}`));
      await expect.poll(() => linesOf("executed")).toContain(`hang ${round}`);
      await cut();
      expect(await pipes.answer(round)).toMatchObject(unknownOutcome);
      await pipes.send(call(100 + round, `quick ${round}`));
      expect(await pipes.answer(100 + round)).toMatchObject({ result: { content: [{ text: `quick ${round}` }] } });
    }
    const executed = await linesOf("executed");
    expect(executed.length).toBe(10);
    expect(new Set(executed).size).toBe(10);
    await pipes.close();
  });

  test("of many under way at a cut takes effect at most once, and exactly once when its answer came", async () => {
    const running = await session(await writing(plain));
    const { pipes } = running;
    await greeted(running);
    const ids = Array.from({ length: 60 }, (_, index) => index + 1);
    for (const id of ids) {
      await pipes.send(call(id, `call ${id}`));
      if (id % 20 === 10) world.router.crash();
      // Lets some of it cross.
      if (id % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const answers = await Promise.all(ids.map((id) => pipes.answer(id)));
    const executed = await linesOf("executed");
    expect(new Set(executed).size).toBe(executed.length);
    for (const [index, answer] of answers.entries()) {
      const isDone = typeof answer === "object" && answer !== null && "result" in answer;
      if (isDone) expect(executed).toContain(`call ${index + 1}`);
      else expect(answer).toMatchObject(unknownOutcome);
    }
    for (const id of ids) expect(pipes.found({ id }).length).toBe(1);
    await pipes.close();
  }, 30_000);
});

describe("the handshake", () => {
  test("is had again with the fresh server, and the client sees one answer", async () => {
    const running = await session(await writing(plain));
    const { pipes } = running;
    await greeted(running);
    await expect.poll(() => linesOf("initialized")).toStrictEqual(["x"]);
    await cut();
    await pipes.send(call(1, "hello"));
    await pipes.answer(1);
    expect(pipes.found({ id: 0 }).length).toBe(1);
    expect(await linesOf("starts")).toStrictEqual(["xx"]);
    await expect.poll(() => linesOf("initialized")).toStrictEqual(["xx"]);
    await pipes.close();
  });

  test("that was not answered when the circuit was cut is answered by the next server", async () => {
    const { pipes } = await session(await writing({ ...plain, answers: false }, plain));
    await pipes.send(initialize);
    await expect.poll(() => linesOf("starts")).toStrictEqual(["x"]);
    world.router.crash();
    expect(await pipes.answer(0)).toMatchObject({ result: { protocolVersion: "2025-11-25" } });
    await pipes.send(call(1, "hello"));
    await pipes.answer(1);
    expect(pipes.found({ id: 0 }).length).toBe(1);
    await pipes.close();
  });

  test.each([
    ["another protocol version", { ...plain, version: "2025-06-18" }, "2025-06-18"],
    ["less that it can do", { ...plain, capabilities: {} }, "tools"],
    ["a list that it no longer tells of", { ...plain, capabilities: { tools: {} } }, "tools.listChanged"],
  ])("that comes to %s ends the conversation, and says so", async (_, after, said) => {
    const running = await session(await writing(plain, after));
    const { pipes, end } = running;
    await greeted(running);
    world.router.admits = false;
    await cut();
    await pipes.send(call(1, "never"));
    world.router.admits = true;
    expect(await end).toMatchObject({ kind: "cut", error: { code: "SERVER_CHANGED" } });
    expect(await pipes.answer(1)).toMatchObject({ error: { code: -31_503, message: expect.stringContaining(said) } });
    expect(await linesOf("executed")).toStrictEqual([]);
  });

  test("is none since 2026-07-28: the client goes on with nothing replayed", async () => {
    const { pipes, end } = await session(await writing(plain));
    const client = new Client({ name: "agent", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
    await client.connect(pipes);
    const echo = async (message: string): Promise<unknown> =>
      await client.callTool({ name: "echo", arguments: { message } });
    expect(await echo("one")).toMatchObject({ content: [{ text: "one" }] });
    await cut();
    expect(await echo("two")).toMatchObject({ content: [{ text: "two" }] });
    expect(await linesOf("executed")).toStrictEqual(["one", "two"]);
    expect(pipes.lines.filter((line) => line.includes("list_changed"))).toStrictEqual([]);
    await client.close();
    expect(await end).toStrictEqual({ kind: "ended" });
  });
});

describe("a conversation ends", () => {
  test("when no other circuit is to be had in time, and whatever waits is told", async () => {
    const running = await session(await writing(plain), { redialForMs: 500 });
    const { pipes, end } = running;
    await greeted(running);
    world.router.admits = false;
    await cut();
    await pipes.send(call(1, "never"));
    expect(await end).toMatchObject({ kind: "cut", error: { code: "ROUTER_UNREACHABLE" } });
    expect(await pipes.answer(1)).toMatchObject({ error: { code: -31_503 } });
    expect(await linesOf("executed")).toStrictEqual([]);
  });

  test("when the fresh dial is denied, with the decision", async () => {
    const running = await session(await writing(plain));
    const { pipes, end } = running;
    await greeted(running);
    world.router.admits = false;
    await cut();
    world.policy.apply("");
    world.router.admits = true;
    await pipes.send(call(1, "never"));
    expect(await end).toMatchObject({ kind: "cut", error: { code: "DIAL_REFUSED" } });
    expect(await pipes.answer(1)).toMatchObject({ error: { code: -31_403 } });
  });

  test("when its client leaves while there is no circuit", async () => {
    const running = await session(await writing(plain));
    const { pipes, end } = running;
    await greeted(running);
    world.router.admits = false;
    await cut();
    await pipes.close();
    expect(await end).toStrictEqual({ kind: "ended" });
  });
});
