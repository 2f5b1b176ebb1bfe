/** Whole networks of real processes. */
import { X509Certificate } from "node:crypto";
import { readdir, readFile, readlink, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  ConstellationError,
  currentStateDir,
  openAdmin,
  openState,
  readNetworkFile,
  startNetwork,
  type Network,
  type NetworkFile,
  type ProcessEvent,
  type StartOptions,
} from "@sallyport/constellation";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isRunning } from "../network/is-running.ts";
import { temporaryHome } from "../network/temporary-home.ts";

const START_TIMEOUT_MS = 60_000;

interface Home extends AsyncDisposable {
  readonly stateDir: string;
  readonly options: StartOptions;
  readonly events: readonly ProcessEvent[];
}

async function home(): Promise<Home> {
  const { stateDir, keyDir, env, ...folder } = await temporaryHome();
  const events: ProcessEvent[] = [];
  return {
    stateDir,
    events,
    options: { stateDir, keyDir, env, timeoutMs: START_TIMEOUT_MS, onProcessEvent: (event) => events.push(event) },
    [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
  };
}

let first: Home;
let second: Home;
let network: Network;
let other: Network;

beforeAll(async () => {
  first = await home();
  second = await home();
  [network, other] = await Promise.all([startNetwork(first.options), startNetwork(second.options)]);
});

afterAll(async () => {
  await Promise.all([network?.stop(), other?.stop()]);
  await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
});

test("two networks run at once, with roots, ports and processes of their own", async () => {
  const [one, two] = await Promise.all([network.admin.ca.getStatus({}), other.admin.ca.getStatus({})]);
  expect(one.rootFingerprint).not.toBe(two.rootFingerprint);
  const files = await Promise.all([networkFile(first), networkFile(second)]);
  const all = files.flatMap(({ ports, routers: [{ listen, grpcPort, linkPort }] }) => [
    ...Object.values(ports),
    portOf(listen),
    grpcPort,
    linkPort,
  ]);
  expect(new Set(all).size).toBe(18);
  expect(Object.keys(network.pids).toSorted()).toEqual(["audit", "ca", "enrollment", "nats", "policy", "router"]);
  expect(Object.values(network.pids).filter((pid) => Object.values(other.pids).includes(pid))).toEqual([]);
});

test("nothing listens beyond loopback", async () => {
  const inodes = new Set((await Promise.all(Object.values(network.pids).map(socketInodes))).flat());
  const listening = (await listeners()).filter(({ inode }) => inodes.has(inode));
  expect(listening.length).toBeGreaterThanOrEqual(8);
  expect(listening.filter(({ loopback }) => !loopback)).toEqual([]);
});

test("no process shows a secret in its arguments or environment", async () => {
  for (const pid of Object.values(network.pids)) {
    const shown = (await readFile(`/proc/${pid}/cmdline`, "utf8")) + (await readFile(`/proc/${pid}/environ`, "utf8"));
    expect(shown).not.toMatch(/PRIVATE KEY|spt1\.|BEGIN /);
  }
});

test("keys on disk are sealed, and their keys lie outside the state folder", async () => {
  const files = await readdir(first.stateDir, { recursive: true, withFileTypes: true });
  const keys = files.filter((file) => file.isFile() && file.name.endsWith("key.pem"));
  expect(keys.length).toBeGreaterThanOrEqual(10);
  for (const key of keys)
    expect(await readFile(join(key.parentPath, key.name), "utf8")).toContain("BEGIN ENCRYPTED PRIVATE KEY");
  expect(files.filter((file) => file.name.endsWith(".key"))).toEqual([]);
});

test("a week off changes nothing: every certificate in the state folder is good for years", async () => {
  const files = await readdir(first.stateDir, { recursive: true, withFileTypes: true });
  const certificates = files.filter(
    (file) => file.isFile() && /(certificate|root|roots|intermediate)\.pem$/.test(file.name),
  );
  expect(certificates.length).toBeGreaterThanOrEqual(16);
  for (const file of certificates) {
    const { validToDate } = new X509Certificate(await readFile(join(file.parentPath, file.name)));
    expect(validToDate.getTime(), file.name).toBeGreaterThan(Date.now() + 4 * 365 * 86_400_000);
  }
});

test("a second start on a running network says so", async () => {
  const refused = await startNetwork(first.options).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ConstellationError);
  expect(refused).toMatchObject({ code: "STATE_LOCKED" });
});

test("other terminals find the network that runs", async () => {
  expect(await currentStateDir(first.options.env)).toBe(first.stateDir);
  await using admin = await openAdmin(first.stateDir);
  expect(await admin.policy.getPolicy({})).toMatchObject({ version: 0 });
});

test("each service that is killed comes back, and does its work again", async () => {
  const killed = network.pids;
  for (const name of ["ca", "enrollment", "policy", "router", "audit", "nats"])
    process.kill(killed[name] ?? 0, "SIGKILL");
  await waitFor(async () => {
    if (Object.keys(killed).some((name) => network.pids[name] === undefined || network.pids[name] === killed[name]))
      return undefined;
    const [router, policy, audit] = await Promise.all([
      network.admin.router.getStatus({}, { timeoutMs: 1_000 }),
      network.admin.policy.getPolicy({}, { timeoutMs: 1_000 }),
      network.admin.audit.getStatus({}, { timeoutMs: 1_000 }),
      network.admin.ca.getStatus({}, { timeoutMs: 1_000 }),
      network.admin.enrollment.listTokens({}, { timeoutMs: 1_000 }),
    ]);
    return router.busConnected && router.notAdmittingBecause === "" && policy.version === 0 && audit.events > 0
      ? true
      : undefined;
  });
});

test("a network starts again where it was: same root, same router port, no process left over, moved private ports", async () => {
  const before = {
    status: await network.admin.ca.getStatus({}),
    router: network.routerAddress,
    pids: Object.values(network.pids),
  };
  await network.stop();
  for (const pid of before.pids) expect(isRunning(pid), `process ${pid}`).toBe(false);
  expect(await currentStateDir(first.options.env)).toBeUndefined();

  const { ports } = await networkFile(first);
  await using _taken = await listen(ports.policy);
  network = await startNetwork(first.options);
  const after = await network.admin.ca.getStatus({});
  expect(after.rootFingerprint).toBe(before.status.rootFingerprint);
  expect(after.issued).toBeGreaterThan(before.status.issued);
  expect(network.routerAddress).toBe(before.router);
  expect((await networkFile(first)).ports.policy).not.toBe(ports.policy);
});

test("the router's port is not given away silently", async () => {
  await network.stop();
  await using _taken = await listen(portOf(network.routerAddress));
  expect(await startNetwork(first.options).catch((error: unknown) => error)).toMatchObject({ code: "PORT_TAKEN" });
});

test("a service that cannot start says why, and nothing is left running", async () => {
  await using broken = await home();
  const { stateDir, keyDir } = broken.options;
  await openState({ stateDir, keyDir });
  await rm(join(stateDir, "policy/bootstrap/certificate.pem"));
  const failure = await startNetwork(broken.options).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "PROCESS_FAILED" });
  expect(String(failure)).toContain("bootstrap credential");
  const pids = broken.events.flatMap((event) => (event.kind === "started" ? [event.pid] : []));
  expect(pids.length).toBeGreaterThan(3);
  for (const pid of pids) expect(isRunning(pid), `process ${pid}`).toBe(false);
});

test.each(["ca", "nats"])("a start that is given up once %s is ready leaves nothing running", async (name) => {
  await using given = await home();
  const stop = new AbortController();
  const onProgress: StartOptions["onProgress"] = ({ step }) => {
    if (step === name) stop.abort(new Error("given up"));
  };
  await expect(startNetwork({ ...given.options, signal: stop.signal, onProgress })).rejects.toThrow("given up");
  const pids = given.events.flatMap((event) => (event.kind === "started" ? [event.pid] : []));
  for (const pid of pids) expect(isRunning(pid), `process ${pid}`).toBe(false);
  await using _again = await startNetwork(given.options);
});

async function networkFile({ stateDir }: Home): Promise<NetworkFile> {
  const file = await readNetworkFile(join(stateDir, "network.json"));
  if (file === undefined) throw new Error(`no network in ${stateDir}`);
  return file;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

async function listen(port: number): Promise<AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Inodes of a process's sockets. */
async function socketInodes(pid: number): Promise<readonly string[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

/** TCP sockets in state LISTEN (0A), from /proc/net/tcp and tcp6. */
async function listeners(): Promise<readonly { readonly inode: string; readonly loopback: boolean }[]> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "utf8").catch(() => "")),
  );
  return tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A")
    .map((fields) => ({
      inode: fields[9] ?? "",
      loopback: /^(0100007F|.{8}.{8}0000000001000000):/.test(fields[1] ?? ""),
    }));
}

async function waitFor<T>(probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 45_000;
  for (;;) {
    const found = await probe().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error("it did not happen within 45 s");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
