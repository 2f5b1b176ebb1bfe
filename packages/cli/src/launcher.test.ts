import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const launcher = join(import.meta.dirname, "../bin/sallyport.js");
/** An older Node of the machine, where there is one: the launcher must find the pinned one from there. */
const systemNode = ["/usr/bin/node", "/usr/local/bin/node"].find(existsSync);
const nodes = [process.execPath, ...(systemNode === undefined ? [] : [systemNode])];
let folder = "";

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-cli-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** As a desktop's MCP client would start it: no PATH to speak of, another folder. */
function run(
  node: string,
  args: readonly string[],
  { input = "", env = {} }: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      node,
      [launcher, ...args],
      { cwd: folder, env: { HOME: folder, ...env }, timeout: 20_000 },
      (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
      },
    );
    child.stdin?.end(input);
  });
}

describe.each(nodes)("under %s", (node) => {
  test("it runs from a foreign folder with an empty PATH", async () => {
    expect(await run(node, ["--version"])).toEqual({ status: 0, stdout: "0.1.0\n", stderr: "" });
  });

  test("its exit status and its streams are the command's", async () => {
    const ran = await run(node, ["status", "--state", join(folder, "nothing")]);
    expect(ran.status).toBe(4);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toContain("STATE_NOT_FOUND");
    expect(ran.stderr).toContain("sallyport up");
  });

  test("a signal to it reaches the command, which ends cleanly", async () => {
    const child = spawn(node, [launcher, "forward", "db", "--profile", "nobody"], {
      cwd: folder,
      env: { HOME: folder },
      stdio: "pipe",
    });
    child.kill("SIGTERM");
    const [status, signal] = await once(child, "close");
    // Whichever came first: the signal before the command listened to it, the signal, or the missing profile.
    expect(signal === "SIGTERM" || status === 130 || status === 5).toBe(true);
  });
});

test("Ctrl-C ends a command that waits for its input", async () => {
  const child = spawn(process.execPath, [launcher, "enroll"], { cwd: folder, env: { HOME: folder }, stdio: "pipe" });
  const closed = once(child, "close");
  // It listens to signals before it imports what reads the input.
  const again = setInterval(() => child.kill("SIGINT"), 300);
  const [status, signal] = await closed;
  clearInterval(again);
  expect(status === 130 || signal === "SIGINT").toBe(true);
});

test("it is executable by itself, when a Node is in PATH", async () => {
  const ran = await new Promise<Ran>((resolve) => {
    execFile(
      launcher,
      ["--version"],
      { env: { PATH: join(process.execPath, "..") + ":/usr/bin:/bin" }, cwd: folder },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : 1, stdout, stderr }),
    );
  });
  expect(ran.stdout).toBe("0.1.0\n");
});

describe("what is wrong is said, with what to do next", () => {
  const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ["an unknown command", ["hots"], 2, /unknown command 'hots'[\s\S]*Did you mean host/],
    ["an unknown option", ["status", "--jsn"], 2, /unknown option '--jsn'/],
    ["a missing argument", ["token", "create"], 2, /missing required argument 'workload'/],
    [
      "a router that nobody can be told of",
      ["up", "--listen", "0.0.0.0:0", "--state", "./fresh"],
      2,
      /--public-address/,
    ],
    ["an address that is none", ["up", "--listen", "8443", "--state", "./fresh"], 2, /"8443" is not host:port/],
    ["a number of routers that is none", ["up", "--routers", "many"], 2, /whole number/],
    [
      "more routers than a machine runs",
      ["up", "--routers", "17", "--state", "./fresh"],
      2,
      /ROUTERS_INVALID[\s\S]*1 to 16/,
    ],
    ["host without a way to host", ["host", "files"], 2, /--mcp -- <command…>, or --tcp/],
    ["host --mcp without a command", ["host", "files", "--mcp"], 2, /Put it after --/],
    ["revoke without a subject", ["revoke"], 2, /exactly one subject/],
    ["a wrong duration", ["token", "create", "a", "--ttl", "soon"], 2, /"soon" is not a duration[\s\S]*30m/],
    ["a wrong limit", ["audit", "search", "--limit", "0"], 2, /1 to 1000/],
    ["a wrong version", ["policy", "apply", ".", "--expect-version", "seven"], 2, /whole number/],
    ["a wrong decision", ["audit", "tail", "--decision", "maybe"], 2, /allow, deny/],
    ["no profile to act as", ["mcp", "config", "files"], 5, /sallyport enroll/],
    ["a profile that is not there", ["forward", "db", "--profile", "nobody"], 5, /nobody/],
    ["no token", ["enroll"], 2, /sallyport token create/],
    ["a token that is none", ["enroll", "--token-file", "-"], 2, /token/i],
    ["a folder that is no policy", ["policy", "apply", "."], 1, /policy\.json/],
  ];
  test.each(cases)("%s", async (_name, args, status, words) => {
    const ran = await run(process.execPath, args, { input: args.includes("-") ? "not-a-token\n" : "" });
    expect(ran.stderr).toMatch(words);
    expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status, stdout: "" });
  });

  test("a router's port that is taken, before anything is made that could not do without it", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const up = ["up", "--listen", `127.0.0.1:${port}`, "--state", "./taken"];
    const ran = await run(process.execPath, up);
    other.close();
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(/PORT_TAKEN[\s\S]*--listen/);
    expect(existsSync(join(folder, "taken/network.json"))).toBe(false);
  });

  test("an MCP client gets the reason as the answer to its first request", async () => {
    const initialize = {
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" } },
    };
    const ran = await run(process.execPath, ["mcp", "files", "--profile", "nobody"], {
      input: `${JSON.stringify(initialize)}\n`,
    });
    expect(ran.status).toBe(5);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      jsonrpc: "2.0",
      id: 1,
      error: { message: expect.stringContaining("nobody") },
    });
  });

  test("with --json the failure is an object on stdout too", async () => {
    const ran = await run(process.execPath, ["status", "--json", "--state", join(folder, "nothing")]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ ok: false, error: { code: "STATE_NOT_FOUND", exitCode: 4 } });
  });
});

test("with --json a wrong command line is an object too, unless --json belongs to the hosted command", async () => {
  const ran = await run(process.execPath, ["token", "create", "--json"]);
  expect(ran.status).toBe(2);
  expect(JSON.parse(ran.stdout)).toMatchObject({ ok: false, error: { code: "USAGE", exitCode: 2 } });
  expect((await run(process.execPath, ["host", "x", "--", "node", "--json"])).stdout).toBe("");
});

test("configuration for a profile that is not there yet says so, beside what to paste", async () => {
  const { status, stdout, stderr } = await run(process.execPath, ["mcp", "config", "files", "--profile", "agent"]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ args: expect.arrayContaining(["mcp", "files", "--profile", "agent"]) });
  expect(stderr).toContain("sallyport enroll --profile agent");
});

describe("a token stays secret", () => {
  const token = "spt1.eyJ0ZCI6IngifQ.c2VjcmV0LXNlY3JldC1zZWNyZXQ";
  test.each([
    ["as an option", ["enroll", "--token", token]],
    ["as an argument", ["enroll", token]],
    ["as an option's value", ["enroll", `--token=${token}`]],
    ["as a misspelt option", ["enroll", `--tokn=${token}`]],
    ["as a profile's name", ["enroll", "--profile", token, "--token-file", "/nonexistent"]],
  ])("%s it is refused and not repeated", async (_name, args) => {
    const { status, stdout, stderr } = await run(process.execPath, args);
    expect(status).toBe(2);
    expect(stdout + stderr).not.toContain("c2VjcmV0");
  });
});

describe("help", () => {
  test.each([
    [[]],
    [["up"]],
    [["status"]],
    [["policy", "apply"]],
    [["token", "create"]],
    [["token", "list"]],
    [["enroll"]],
    [["host"]],
    [["mcp"]],
    [["mcp", "config"]],
    [["forward"]],
    [["audit", "tail"]],
    [["audit", "search"]],
    [["revoke"]],
    [["reinstate"]],
  ])("of %j has examples", async (command) => {
    const { status, stdout } = await run(process.execPath, [...command, "--help"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}\$ sallyport/);
  });

  test("there is no colour where nobody looks", async () => {
    const { stdout, stderr } = await run(process.execPath, ["status"], { env: { FORCE_COLOR: "1" } });
    expect(stdout + stderr).not.toContain("\u001B[");
  });
});
