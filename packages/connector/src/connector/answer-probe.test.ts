import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProbeResult, StreamOpen } from "@sallyport/proto/tunnel";
import { readMessage } from "@sallyport/tunnel";
import { afterEach, describe, expect, test } from "vitest";
import { hostMcp } from "../adapters/mcp/host-mcp.ts";
import { hostTcp } from "../adapters/tcp/host-tcp.ts";
import { connectorWorld, type ConnectorWorld } from "./connector-world.test-support.ts";

let world: ConnectorWorld;
const owned: AsyncDisposable[] = [];

afterEach(async () => {
  for (const owner of owned.splice(0).toReversed()) await owner[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** Asks the workload `host` as a router does; the code when it refuses. */
async function probe(service: string): Promise<ProbeResult | string> {
  const open = StreamOpen.create({ service: "sallyport.probe", probeService: service });
  const result = await world.router.tunnelOf("host").openStream(open);
  if (result.kind === "refused") return result.refusal.code;
  const answer = await readMessage(result.stream, ProbeResult);
  expect(await readMessage(result.stream, ProbeResult)).toBeNull();
  result.stream.end();
  return answer ?? "nothing";
}

async function listening(): Promise<Server & AsyncDisposable> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

describe("a probe of a TCP host", () => {
  test("says up while its target takes connections, and why not when it does not", async () => {
    world = await connectorWorld();
    const target = await listening();
    const { port } = target.address() as AddressInfo;
    const host = await world.connector("host");
    await hostTcp({ connector: host, service: "files", target: `127.0.0.1:${port}` }).ready;
    expect(await probe("files")).toStrictEqual({ service: "files", up: true, reason: "" });
    target.close();
    await expect
      .poll(() => probe("files"), { timeout: 5_000 })
      .toMatchObject({ up: false, reason: expect.stringContaining("ECONNREFUSED") });
  });

  test("reaches its target once a second, however often it comes", async () => {
    world = await connectorWorld();
    const target = await listening();
    owned.push(target);
    let connections = 0;
    target.on("connection", () => (connections += 1));
    const { port } = target.address() as AddressInfo;
    const host = await world.connector("host");
    await hostTcp({ connector: host, service: "files", target: `127.0.0.1:${port}` }).ready;
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 20 }, () => probe("files")));
    await Promise.all(Array.from({ length: 20 }, () => probe("files")));
    expect(connections).toBeLessThanOrEqual(1 + Math.floor((performance.now() - startedAt) / 1_000));
  });
});

describe("a probe of an MCP host", () => {
  test("says up while its command is there, without starting it", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const folder = await mkdtemp(join(tmpdir(), "probe-test-"));
    owned.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    const command = join(folder, "server");
    const started = join(folder, "started");
    await writeFile(command, `#!/bin/sh\ntouch ${started}\n`);
    await chmod(command, 0o755);
    const host = await world.connector("host");
    const hosted = await hostMcp({ connector: host, service: "files", command, unconfined: true });
    owned.push(hosted);
    await hosted.hosting.ready;
    expect(await probe("files")).toMatchObject({ up: true });
    await rm(command);
    await expect
      .poll(() => probe("files"), { timeout: 5_000 })
      .toMatchObject({ up: false, reason: expect.stringContaining("ENOENT") });
    await expect(rm(started)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("says down once a circuit has seen it fail to start", async () => {
    world = await connectorWorld({ protocol: "mcp" });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    const args = ["-c", "exit 3"];
    const hosted = await hostMcp({ connector: host, service: "files", command: "/bin/sh", args, unconfined: true });
    owned.push(hosted);
    await hosted.hosting.ready;
    expect(await probe("files")).toMatchObject({ up: true });
    const circuit = await agent.dial("files", { protocol: "mcp" });
    circuit.resume();
    await circuit.closedBy;
    expect(await probe("files")).toMatchObject({ up: false, reason: expect.stringContaining("status 3") });
  });
});

describe("a probe", () => {
  test("of a service that is not hosted here, or that policy says speaks otherwise, says down", async () => {
    world = await connectorWorld();
    const host = await world.connector("host");
    const hosting = host.host("files", "mcp", () => undefined);
    await expect(hosting.ready).rejects.toMatchObject({ code: "HOST_REFUSED" });
    expect(await probe("files")).toMatchObject({ up: false, reason: expect.stringContaining("speaks tcp") });
    expect(await probe("shell")).toStrictEqual({
      service: "shell",
      up: false,
      reason: "this workload does not host it",
    });
  });

  test("is refused beyond a hundred in a second", async () => {
    world = await connectorWorld();
    const host = await world.connector("host");
    await host.host("files", "tcp", () => undefined).ready;
    const answers = await Promise.all(Array.from({ length: 220 }, () => probe("files")));
    expect(answers.filter((answer) => answer === "OVERLOADED").length).toBeGreaterThanOrEqual(20);
    expect(answers.filter((answer) => typeof answer !== "string").length).toBeGreaterThanOrEqual(100);
  });

  test("gives a reason of at most 256 bytes, in whole characters", async () => {
    world = await connectorWorld();
    const host = await world.connector("host");
    const health = async () => ({ kind: "down", reason: "ü".repeat(400) }) as const;
    await host.host("files", "tcp", () => undefined, { health }).ready;
    expect(await probe("files")).toMatchObject({ up: false, reason: "ü".repeat(128) });
  });
});
