import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfinedProcess } from "./confined-process.ts";
import type { Confinement } from "./confinement.ts";
import { serviceUid } from "./service-uid.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

let elsewhere: string;
let folder: string;
let daemons: readonly Server[];

beforeAll(async () => {
  // One in the folder of homes, where most programs put their sockets, and one anywhere else.
  folder = await mkdtemp(join(tmpdir(), "neighbours-test-"));
  elsewhere = await mkdtemp("/var/tmp/neighbours-test-");
  await chmod(folder, 0o755);
  daemons = await Promise.all([daemon(join(folder, "daemon.sock")), daemon(join(elsewhere, "daemon.sock"))]);
});

afterAll(async () => {
  for (const server of daemons) server.close();
  await rm(folder, { recursive: true });
  await rm(elsewhere, { recursive: true });
});

/** Stands for a terminal multiplexer, a key agent or a container engine of the connector's own user. */
async function daemon(path: string): Promise<Server> {
  const server = createServer((socket) => socket.end()).listen(path);
  await once(server, "listening");
  return server;
}

/** Starts Node with `program`, which reports by one line. */
async function start(
  confinement: Confinement,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ConfinedProcess> {
  return await ConfinedProcess.start({
    service: "files",
    command: process.execPath,
    args: ["-e", `${program}; process.stdin.resume()`, ...args],
    workingFolder: "/",
    env,
    network: "none",
    confinement,
    secret: [],
    writable: [],
    onStderr: () => undefined,
  });
}

async function reportOf(child: ConfinedProcess): Promise<unknown> {
  const [line]: Buffer[] = await once(child.stdout, "data");
  return JSON.parse(String(line));
}

const knock = `
const attempts = process.argv.slice(1).map((path) => new Promise((resolve) => {
  const socket = require("node:net").connect(path);
  socket.once("connect", () => resolve("connected")).once("error", (error) => resolve(error.code));
}));
Promise.all(attempts).then((reached) => console.log(JSON.stringify(reached)))`;

const look = `
const fs = require("node:fs");
const home = process.env.THEIRS;
const list = (path) => { try { return fs.readdirSync(path).sort(); } catch (error) { return error.code; } };
const links = fs.readdirSync("/proc/self/fd").map((fd) => { try { return fs.readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } });
console.log(JSON.stringify({ theirs: list(home), own: list(process.env.HOME), beside: list(${JSON.stringify(tmpdir())}), folders: links.filter((link) => link.startsWith(${JSON.stringify(tmpdir())})) }))`;

const kinds: readonly Confinement[] = [
  { kind: "own-uid", uid: serviceUid("files") },
  { kind: "sealed" },
  { kind: "user-namespace" },
];

describe.skipIf(!isRoot).each(kinds)("a process confined by $kind (SKIPPED unless root on Linux)", (confinement) => {
  test("finds no socket of its connector's user, with which no network is needed to become it", async () => {
    const paths = [join(folder, "daemon.sock"), join(elsewhere, "daemon.sock")];
    await using child = await start(confinement, knock, paths);
    for (const reached of (await reportOf(child)) as string[])
      expect(reached).toMatch(/^(ENOENT|EACCES|ECONNREFUSED)$/);
  });

  test("does not see the home of another caller's process, nor a way below the cover", async () => {
    await using other = await start(confinement, "console.log(1)", []);
    await once(other.stdout, "data");
    await using child = await start(confinement, look, [], { THEIRS: other.home });
    // What the command itself names stays, where the checkout is below the folder of homes.
    const named = [child.home, process.execPath].filter((path) => path.startsWith(`${tmpdir()}/`));
    const beside = named.map((path) => relative(tmpdir(), path).split("/")[0] ?? "");
    expect(await reportOf(child)).toStrictEqual({
      theirs: "ENOENT",
      own: ["tmp"],
      beside: beside.toSorted((a, b) => (a < b ? -1 : 1)),
      folders: [],
    });
  });

  test("still sees what its command names beside its home", async () => {
    const script = join(folder, "server.js");
    await writeFile(script, 'console.log(JSON.stringify("served"))');
    await using child = await start(confinement, `require(process.argv[1])`, [script]);
    expect(await reportOf(child)).toBe("served");
  });
});
