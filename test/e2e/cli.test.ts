/** The `sallyport` command against a network that it started itself, each call a process of its own. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRunning } from "../network/is-running.ts";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";
import { launcher } from "../network/test-stage.ts";

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Up {
  readonly kind: "up";
  readonly routerAddress: string;
  readonly pids: Readonly<Record<string, number>>;
}

const owned = new AsyncDisposableStack();
let home: TemporaryHome;
let up: ChildProcess;
let network: Up;

function run(args: readonly string[], input = ""): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [launcher, ...args],
      { env: home.env, cwd: home.folder, timeout: 30_000 },
      (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
      },
    );
    child.stdin?.end(input);
  });
}

/** Starts a command that stays, and waits for its first line on stdout as JSON. */
async function stay<T>(args: readonly string[]): Promise<{ readonly child: ChildProcess; readonly first: T }> {
  const child = spawn(process.execPath, [launcher, ...args], {
    env: home.env,
    cwd: home.folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  for await (const line of createInterface({ input: child.stdout })) {
    const value = JSON.parse(line) as { readonly kind: string };
    if (value.kind === "progress") continue;
    child.stdout.resume();
    return { child, first: value as T };
  }
  throw new Error(`sallyport ${args.join(" ")} ended: ${stderr}`);
}

async function end(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null) return child.exitCode;
  const closed = once(child, "close");
  child.kill("SIGINT");
  const [status] = await closed;
  return status;
}

async function enroll(workload: string): Promise<void> {
  const { stdout: token } = await run(["token", "create", workload]);
  const ran = await run(["enroll", "--profile", workload], token);
  expect(ran).toMatchObject({ status: 0, stderr: "" });
}

const policyFiles = {
  "policy.json": JSON.stringify({
    workloads: [
      { name: "agent", roles: ["client"] },
      { name: "server", roles: [] },
      { name: "stranger", roles: [] },
    ],
    services: [{ name: "echo", protocol: "tcp" }],
  }),
  "echo.cedar": `@id("clients-dial-echo") permit(principal in Sallyport::Role::"client", action == Sallyport::Action::"dial", resource == Sallyport::Service::"echo");
@id("server-hosts-echo") permit(principal == Sallyport::Workload::"server", action == Sallyport::Action::"host", resource == Sallyport::Service::"echo");`,
};

beforeAll(async () => {
  home = owned.use(await temporaryHome());
  const started = await stay<Up>(["up", "--json", "--state", home.stateDir]);
  up = started.child;
  owned.defer(async () => void (await end(up)));
  network = started.first;
  await mkdir(join(home.folder, "policy"));
  for (const [name, text] of Object.entries(policyFiles)) await writeFile(join(home.folder, "policy", name), text);
  const applied = await run(["policy", "apply", "policy"]);
  expect(applied).toMatchObject({ status: 0, stdout: expect.stringContaining("Version 1 in force") });
  await Promise.all(["agent", "server", "stranger"].map(enroll));
});

afterAll(() => owned.disposeAsync());

test("a second `up` on the same state says that the first one runs", async () => {
  const { status, stderr } = await run(["up", "--state", home.stateDir]);
  expect(status).toBe(6);
  expect(stderr).toContain("already running");
  expect(stderr).toContain(`process ${up.pid}`);
});

test("a token is redeemed once", async () => {
  const { stdout: token } = await run(["token", "create", "agent"]);
  expect((await run(["enroll", "--profile", "once"], token)).status).toBe(0);
  const again = await run(["enroll", "--profile", "twice"], token);
  expect(again.status).toBe(3);
  expect(again.stderr).toContain("TOKEN_ALREADY_USED");
  expect(again.stderr).not.toContain(token.trim());
});

test("a policy with a mistake is refused with its file, line and column", async () => {
  const folder = join(home.folder, "mistake");
  await mkdir(folder);
  await writeFile(join(folder, "policy.json"), policyFiles["policy.json"]);
  await writeFile(join(folder, "echo.cedar"), `${policyFiles["echo.cedar"]}\npermit(principal,\n  action resource);`);
  const { status, stderr } = await run(["policy", "apply", folder]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/POLICY_SYNTAX/);
  expect(stderr).toMatch(/echo\.cedar:4:\d+/);
  expect(stderr).toMatch(/4 │ {3}action resource\);\n +│ +\^/);
});

describe("a dark TCP service", () => {
  let host: ChildProcess;
  let listening: { readonly address: string };

  beforeAll(async () => {
    const echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(0, "127.0.0.1");
    owned.defer(() => void echo.close());
    await once(echo, "listening");
    const address = echo.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    host = (await stay(["host", "echo", "--tcp", `127.0.0.1:${address.port}`, "--profile", "server", "--json"])).child;
    owned.defer(async () => void (await end(host)));
  });

  test("is reached through a loopback port, and the record says so", async () => {
    const forwarding = await stay<{ readonly address: string }>(["forward", "echo", "--profile", "agent", "--json"]);
    listening = forwarding.first;
    const socket = createConnection(Number(listening.address.split(":")[1]), "127.0.0.1");
    socket.end("through the dark");
    let answer = "";
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toBe("through the dark");
    expect(await end(forwarding.child)).toBe(0);
    await waitFor(async () => {
      const { stdout } = await run(["audit", "search", "--service", "echo", "--kind", "circuit.closed", "--json"]);
      const vantages = stdout
        .trim()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => (JSON.parse(line) as { readonly vantage: string }).vantage);
      return ["router", "host", "dialer"].every((vantage) => vantages.includes(vantage));
    });
  });

  test("is refused to a stranger with a decision that the record explains", async () => {
    const forwarding = spawn(process.execPath, [launcher, "forward", "echo", "--profile", "stranger", "--json"], {
      env: home.env,
      stdio: "pipe",
    });
    const [first] = await once(createInterface({ input: forwarding.stdout }), "line");
    const { address } = JSON.parse(String(first)) as { readonly address: string };
    const said = once(forwarding.stderr, "data");
    const socket = createConnection(Number(address.split(":")[1]), "127.0.0.1").on("error", () => undefined);
    const [text] = await said;
    socket.destroy();
    expect(String(text)).toContain("DIAL_REFUSED");
    const decisionId = /--decision-id (\S+)/.exec(String(text))?.[1] ?? "";
    expect(await end(forwarding)).toBe(0);
    await waitFor(async () => {
      const { stdout } = await run(["audit", "search", "--decision-id", decisionId]);
      return stdout.includes("circuit.refused") && stdout.includes("stranger");
    });
  });

  test("hosting by a workload that policy does not name is refused, status 3", async () => {
    const { status, stderr } = await run(["host", "echo", "--tcp", "127.0.0.1:1", "--profile", "stranger"]);
    expect(status).toBe(3);
    expect(stderr).toContain("HOST_REFUSED");
  });

  test("status shows the data plane, and what is not post-quantum", async () => {
    await waitFor(async () => / echo +server\/\S+ +up /.test((await run(["status"])).stdout));
    const { status, stdout } = await run(["status"]);
    expect(status).toBe(0);
    for (const name of ["ca", "enrollment", "policy", "router", "audit"])
      expect(stdout).toMatch(new RegExp(`up +${name} `));
    expect(stdout).toMatch(/Hosts 1\n {2}SERVICE.*\n {2}echo +server\/\S+ +up +\d+ s ago +1 /);
    expect(stdout).toContain("X25519MLKEM768");
    expect(stdout).toMatch(/bus +TLS, X25519; not post-quantum/);
    const json = JSON.parse((await run(["status", "--json"])).stdout) as {
      readonly ok: boolean;
      readonly services: Readonly<Record<string, { readonly ok: boolean }>>;
      readonly hosts: readonly object[];
      readonly routers: readonly object[];
    };
    expect(json.ok).toBe(true);
    expect(Object.keys(json.services)).toEqual(["ca", "enrollment", "policy", "audit"]);
    expect(json.routers).toMatchObject([{ name: "1", ok: true, notAdmittingBecause: "" }]);
    expect(json.hosts).toMatchObject([{ service: "echo", health: "up", router: "1" }]);
  });

  test("the routers tell what they hold, for a person and as JSON", async () => {
    expect((await run(["router", "list"])).stdout).toMatch(/^ROUTER +ADDRESS.*\n1 +127\.0\.0\.1:\d+ +up +\d/);
    expect((await run(["router", "hosts", "--service", "echo"])).stdout).toMatch(/\n1 +echo +server\/\S+ +up /);
    expect(await run(["router", "hosts", "--service", "nothing"])).toMatchObject({ status: 0, stdout: "" });
    const { stdout } = await run(["router", "tunnels", "--workload", "server", "--json"]);
    const tunnels = stdout.trim().split("\n");
    expect(tunnels.map((line) => JSON.parse(line) as object)).toMatchObject(
      tunnels.map(() => ({ router: "1", spiffeId: expect.stringContaining("/workload/server/") })),
    );
    expect(await run(["router", "links"])).toMatchObject({ status: 0 });
    const unknown = await run(["router", "tunnels", "--router", "nine", "--json"]);
    expect(unknown.status).toBe(2);
    expect(JSON.parse(unknown.stdout)).toMatchObject({ ok: false, error: { code: "ROUTER_UNKNOWN" } });
  });

  test("top prints its looks where nobody watches, and its rates begin with the second", async () => {
    const { status, stdout } = await run(["top", "--json", "--count", "2"]);
    expect(status).toBe(0);
    const looks = stdout.trim().split("\n");
    expect(looks.map((line) => JSON.parse(line) as object)).toMatchObject([
      { router: "1", ok: true, rates: { cpuPercent: 0 } },
      { router: "1", ok: true, hosts: 1, hostsUp: 1 },
    ]);
    expect((await run(["top", "--count", "1"])).stdout).toMatch(/^\d\d:\d\d:\d\d router 1 {2}cpu \d+% /);
  });

  test("a circuit is listed while it lasts, and a kick ends it with who asked on record", async () => {
    const forwarding = await stay<{ readonly address: string }>(["forward", "echo", "--profile", "agent", "--json"]);
    const socket = createConnection(Number(forwarding.first.address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write("hello");
    await once(socket, "data");
    const listed = await run(["router", "circuits", "--workload", "agent", "--json"]);
    const circuit = JSON.parse(listed.stdout) as { readonly circuitId: string };
    expect(circuit).toMatchObject({ service: "echo", hostId: expect.stringContaining("/server/"), router: "1" });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const shortId = circuit.circuitId.slice(0, 8);
    const kicked = await run(["router", "kick", "--circuit", shortId, "--reason", "e2e", "--json"]);
    expect(JSON.parse(kicked.stdout)).toEqual({ tunnels: 0, circuits: 1 });
    await closed;
    expect((await run(["router", "kick", "--circuit", circuit.circuitId])).stderr).toContain("TARGET_NOT_FOUND");
    expect((await run(["router", "kick", "agent", "--tunnel", "x"])).status).toBe(2);
    expect(await end(forwarding.child)).toBe(0);
    await waitFor(async () => {
      const { stdout } = await run(["audit", "search", "--kind", "circuit.closed", "--error", "KICKED", "--json"]);
      return stdout.includes("/admin/local: e2e");
    });
  });

  test("a revoked host is gone from the network at once", async () => {
    expect((await run(["revoke", "server", "--reason", "test"])).status).toBe(0);
    await waitFor(async () => (await run(["status"])).stdout.includes("Hosts none"));
    expect((await run(["reinstate", "server"])).status).toBe(0);
  });
});

test("revoking a name that policy does not know is done, and doubted", async () => {
  const { status, stderr } = await run(["revoke", "servre"]);
  expect(status).toBe(0);
  expect(stderr).toContain('policy names no workload "servre"');
  expect((await run(["reinstate", "servre"])).status).toBe(0);
});

test("the record leaves certificate issuances out until they are asked for, and says so", async () => {
  const some = await run(["audit", "search"]);
  expect(some.stdout).not.toContain("svid.issued");
  expect(some.stderr).toMatch(/\d+ certificate issuances are not shown; --all shows them/);
  expect((await run(["audit", "search", "--all"])).stdout).toContain("svid.issued");
});

test("no process shows a token or a key in its arguments, and no log holds one", async () => {
  const { stdout } = await run(["token", "create", "agent", "--json"]);
  const { token } = JSON.parse(stdout) as { readonly token: string };
  const secret = token.split(".").at(-1) ?? "";
  await run(["enroll", "--profile", "secret"], token);
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const shown = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    expect(shown.includes(secret)).toBe(false);
  }
  for (const name of await readdir(join(home.stateDir, "logs"))) {
    const log = await readFile(join(home.stateDir, "logs", name), "utf8");
    expect(log.includes(secret), name).toBe(false);
    expect(log, name).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
  }
});

test("a drain is done when nothing runs, is on record, and the router stays, drained", async () => {
  const { status, stdout } = await run(["router", "drain", "--deadline", "5s", "--reason", "e2e", "--wait"]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Router 1 takes nothing new\..*\nRouter 1 is drained\.\n$/);
  expect((await run(["router", "list"])).stdout).toMatch(/\n1 +127\.0\.0\.1:\d+ +drained +0 /);
  expect((await run(["status"])).stdout).toMatch(/up +router 1 +drained/);
  await waitFor(async () => {
    const { stdout: events } = await run(["audit", "search", "--kind", "router.drained", "--json"]);
    return events.includes("spiffe://sallyport.local/admin/local") && events.includes("e2e");
  });
});

test("Ctrl-C ends the network: status 0, no process left, and the next command says where to begin", async () => {
  // Under an older Node the terminal's Ctrl-C arrives twice: once by itself, once by way of the launcher.
  up.kill("SIGINT");
  expect(await end(up)).toBe(0);
  for (const [name, pid] of Object.entries(network.pids)) expect(isRunning(pid), name).toBe(false);
  const { status, stderr } = await run(["status", "--state", home.stateDir]);
  expect(status).toBe(4);
  expect(stderr).toContain("sallyport up");
});

test("a network whose `up` was killed leaves no process behind, and starts again", async () => {
  const killed = await stay<Up>(["up", "--json", "--state", join(home.folder, "killed")]);
  killed.child.kill("SIGKILL");
  await waitFor(async () => Object.values(killed.first.pids).every((pid) => !isRunning(pid)));
  const again = await stay<Up>(["up", "--json", "--state", join(home.folder, "killed")]);
  expect(again.first.routerAddress).toBe(killed.first.routerAddress);
  expect(await end(again.child)).toBe(0);
});

async function waitFor(probe: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await probe())) {
    if (Date.now() > deadline) throw new Error("it did not happen within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
