import { fork } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { workloadId } from "@sallyport/identity";
import { createTestAuthority } from "@sallyport/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { profilePaths, secretFolders, type BaseFolders } from "../profile/profile-paths.ts";
import { saveProfile } from "../profile/profile-store.ts";
import { chooseConfinement, findCommand } from "./choose-confinement.ts";
import { ConfinedProcess, type ConfinedProcessOptions } from "./confined-process.ts";
import type { Confinement } from "./confinement.ts";
import { intruder, type Report } from "./intruder.test-support.ts";
import { isNodeClosed, openNode } from "./open-node.test-support.ts";
import { serviceUid } from "./service-uid.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

let root: string;
let node: string;
let folders: BaseFolders;
let secrets: readonly string[];
let victim: Server;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "confine-test-"));
  // Whatever the confinement does not cover, the modes of these folders would let through.
  await chmod(root, 0o755);
  node = await openNode(root);
  folders = { configHome: join(root, "config"), dataHome: join(root, "data"), stateHome: join(root, "state") };
  const authority = await createTestAuthority();
  const svid = await authority.issue(workloadId(authority.trustDomain, "host", "1"));
  const paths = profilePaths(folders, "host");
  await saveProfile({ name: "host", folders, paths, routers: [], generation: 1, svid, bundle: authority.bundle });
  await mkdir(paths.spool, { recursive: true, mode: 0o700 });
  await writeFile(join(paths.spool, "block"), "a call's arguments");
  secrets = [paths.privateKey, paths.kek, join(paths.spool, "block")];
  victim = createServer().listen(0, "127.0.0.1");
  await once(victim, "listening");
});

afterAll(async () => {
  victim.close();
  await rm(root, { recursive: true, force: true });
});

/** The intruder's script where everybody, or only root, can read it. */
async function script(mode: number): Promise<string> {
  const folder = await mkdtemp(join(root, "script-"));
  await writeFile(join(folder, "intruder.mjs"), intruder, { mode: mode & 0o444 });
  await chmod(folder, mode);
  return join(folder, "intruder.mjs");
}

async function options(
  path: string,
  change: Partial<ConfinedProcessOptions> = {},
): Promise<Omit<ConfinedProcessOptions, "onStderr">> {
  const goal = {
    secrets,
    folders: secretFolders(folders),
    connectorPid: process.pid,
    outside: join(root, "config", "planted"),
    port: (victim.address() as AddressInfo).port,
  };
  const needs = {
    service: "files",
    command: node,
    args: [path, JSON.stringify(goal)],
    workingFolder: "/",
    network: "host",
    secret: secretFolders(folders),
    writable: [],
    ...change,
  } as const;
  return { env: {}, confinement: await chooseConfinement(needs), ...needs, ...change };
}

async function intrude(
  start: Omit<ConfinedProcessOptions, "onStderr">,
  whileItRuns: (report: Report) => Promise<void> = async () => undefined,
): Promise<Report> {
  let stderr = "";
  await using child = await ConfinedProcess.start({ ...start, onStderr: (text) => (stderr += text.toString()) });
  let line = "";
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    line += chunk.toString();
    if (line.endsWith("\n")) break;
  }
  if (line === "") throw new Error(`the intruder did not report: ${stderr}`);
  const report = JSON.parse(line) as Report;
  await whileItRuns(report);
  return report;
}

function expectShutOut(report: Report): void {
  for (const got of Object.values(report.reads)) expect(got).toMatch(/^failed:(EACCES|ENOENT)$/);
  for (const got of Object.values(report.lists)) expect(got).toMatch(/^failed:EACCES$/);
  expect(report.throughProc).toMatch(/^failed:(EACCES|ENOENT|EPERM)$/);
  expect(report.throughPid1).toMatch(/^failed:/);
  expect(report.environment).toMatch(/^failed:/);
  expect(report.memory).toMatch(/^failed:/);
  expect(report.signal).toMatch(/^failed:(ESRCH|EPERM)$/);
  expect(report.uncover).toMatch(/^failed:/);
  expect(report.namespace).toMatch(/^failed:/);
  expect(report.core).toMatch(/^failed:/);
  expect(report.write).toMatch(/^failed:/);
  expect(report.disks).not.toContain("done");
  expect(report.capabilities).toStrictEqual(Array.from({ length: 5 }, () => "0000000000000000"));
  expect(report.noNewPrivs).toBe("1");
  expect(report.home).toBe("done");
}

describe.skipIf(!isRoot)("a process that root's connector starts (SKIPPED unless root on Linux)", () => {
  test("gets its own uid, and nothing of the connector's key, its key's key, its spool, memory or environment", async () => {
    const start = await options(await script(0o755));
    expect(start.confinement).toStrictEqual({ kind: "own-uid", uid: serviceUid("files") });
    const report = await intrude(start);
    expectShutOut(report);
    expect(report.uid).toBe(serviceUid("files"));
    expect(report.become).toMatch(/^failed:EPERM$/);
    expect(report.processes).toBeLessThan(5);
  });

  test("gets nothing either when its files are only readable by root, so that it must stay uid 0", async () => {
    const start = await options(await script(0o700));
    expect(start.confinement).toStrictEqual({ kind: "sealed" });
    const report = await intrude(start);
    expectShutOut(report);
    expect(report.uid).toBe(0);
    expect(report.processes).toBeLessThan(5);
  });

  test("gets nothing in a user namespace, which is what a connector without root has", async () => {
    const confinement: Confinement = { kind: "user-namespace" };
    expectShutOut(await intrude(await options(await script(0o755), { confinement })));
  });

  test("gets nothing where namespaces are refused, by the modes of the files alone", async () => {
    const confinement: Confinement = { kind: "own-uid-only", uid: serviceUid("files") };
    const report = await intrude(await options(await script(0o755), { confinement }));
    for (const got of [
      ...Object.values(report.reads),
      report.throughProc,
      report.environment,
      report.memory,
      report.signal,
    ]) {
      expect(got).toMatch(/^failed:/);
    }
    expect(report.capabilities[2]).toBe("0000000000000000");
  });

  test("sees a closed environment, and what was passed on by name", async () => {
    process.env["SALLYPORT_TEST_SECRET"] = "in the connector's environment";
    const report = await intrude(await options(await script(0o755), { env: { GREETING: "hello" } }));
    delete process.env["SALLYPORT_TEST_SECRET"];
    expect(Object.keys(report.env).toSorted()).toStrictEqual(["GREETING", "HOME", "LANG", "PATH", "TMPDIR"]);
  });

  test("with network none listens where nobody hears it, and reaches no port of this machine", async () => {
    const path = await script(0o755);
    const alone = await intrude(await options(path, { network: "none" }), async ({ listen }) => {
      expect(await isListening(listen)).toBe(false);
    });
    expect(alone.interfaces).toBe(0);
    expect(alone.reach).toMatch(/^failed:/);
    const shared = await intrude(await options(path), async ({ listen }) => {
      expect(await isListening(listen)).toBe(true);
    });
    expect(shared.reach).toBe("done");
  });

  test("in the fallback may write where it was told, and only there", async () => {
    const writable = await mkdtemp(join(root, "writable-"));
    const confinement: Confinement = { kind: "sealed" };
    const args = ["-c", 'echo x >"$1/a" && echo written; echo x >"$2/b" || echo kept; exec cat', "sh", writable, root];
    await using child = await ConfinedProcess.start({
      ...(await options(await script(0o700), { writable: [writable], confinement })),
      command: "/bin/sh",
      args,
      onStderr: () => undefined,
    });
    let output = "";
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      output += chunk.toString();
      if (output.includes("kept")) break;
    }
    expect(output).toBe("written\nkept\n");
  });
});

describe("the end of a confined process", () => {
  // A uid belongs to a service's name, on the whole machine: another network here may host "files" too.
  const service = `ending-${process.pid}`;
  const shell = async (text: string): Promise<ConfinedProcess> => {
    const base = await options(await script(0o755), isRoot ? { service } : { confinement: { kind: "none" } });
    const child = await ConfinedProcess.start({
      ...base,
      command: "/bin/sh",
      args: ["-c", text],
      graceMs: 200,
      onStderr: () => undefined,
    });
    await once(child.stdout, "data");
    return child;
  };

  test("comes politely when it ends on the end of its input", async () => {
    const child = await shell("echo ready; cat; exit 7");
    await child[Symbol.asyncDispose]();
    expect(await child.ended).toStrictEqual({ kind: "exited", code: 7 });
  });

  test("comes by force when it ignores both that and SIGTERM", async () => {
    const child = await shell("trap '' TERM; echo ready; while :; do sleep 1; done");
    await child[Symbol.asyncDispose]();
    expect(await child.ended).toMatchObject({ kind: "killed", signal: "SIGKILL" });
  });

  test.skipIf(!isRoot)("takes along what left its process group (SKIPPED unless root)", async () => {
    const child = await shell("setsid sleep 61 & echo ready; exec cat");
    await expect.poll(() => processesOf(serviceUid(service))).toContain("sleep");
    await child[Symbol.asyncDispose]();
    expect(await processesOf(serviceUid(service))).toStrictEqual([]);
  });

  test.skipIf(!isRoot)("comes with the end of a connector that is killed (SKIPPED unless root)", async () => {
    const file = join(root, "connector.ts");
    const start = await options(await script(0o755), { service: `orphans-${process.pid}` });
    const source = new URL("confined-process.ts", import.meta.url).href;
    await writeFile(
      file,
      `import { ConfinedProcess } from ${JSON.stringify(source)};
       const child = await ConfinedProcess.start({ ...${JSON.stringify(start)}, onStderr: () => {} });
       child.stdout.on("data", () => process.send("started"));`,
    );
    const connector = fork(file, { stdio: "inherit" });
    await once(connector, "message");
    expect(await processesOf(serviceUid(`orphans-${process.pid}`))).not.toStrictEqual([]);
    connector.kill("SIGKILL");
    await expect.poll(() => processesOf(serviceUid(`orphans-${process.pid}`)), { timeout: 5_000 }).toStrictEqual([]);
  });

  test("leaves no home behind", async () => {
    const child = await shell('echo "$HOME"; cat');
    const home = basename(child.home);
    expect(await readdir(tmpdir())).toContain(home);
    await child[Symbol.asyncDispose]();
    const homes = await readdir(tmpdir());
    expect(homes.filter((name) => name.startsWith("sallyport-files-"))).not.toContain(home);
  });
});

test("a command is found in the closed PATH, by a path, or not at all", async () => {
  expect(await findCommand("sh", "/usr/bin:/bin", "/")).toMatch(/\/sh$/);
  expect(await findCommand("./sh", "", "/bin")).toBe("/bin/sh");
  await expect(findCommand("no-such-command", "/usr/bin", "/")).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
  await expect(findCommand("sh", "relative:.", "/bin")).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
});

async function isListening(port: number | string): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port: Number(port) });
  return await new Promise((resolve) => {
    socket.once("connect", () => resolve(socket.destroy() !== undefined));
    socket.once("error", () => resolve(false));
  });
}

async function processesOf(uid: number): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found: string[] = [];
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const isAlive = !/^State:\s+[ZX]/m.test(status);
    if (isAlive && new RegExp(`^Uid:\\s+${uid}\\s`, "m").test(status))
      found.push(/^Name:\s+(.*)$/m.exec(status)?.[1] ?? pid);
  }
  return found;
}

test.skipIf(!isRoot || isNodeClosed)(
  "a connector without root confines in a user namespace (SKIPPED unless root, to become somebody else, in a checkout open to them)",
  async () => {
    const folder = await mkdtemp(join(root, "nobody-"));
    const secret = join(folder, "secret");
    await mkdir(secret, { mode: 0o700 });
    await writeFile(join(secret, "key"), "the key", { mode: 0o600 });
    const file = join(folder, "connector.ts");
    const needs = {
      service: "files",
      command: "/bin/sh",
      workingFolder: "/",
      network: "none",
      secret: [secret],
      writable: [],
    };
    await writeFile(
      file,
      `import { readFileSync } from "node:fs";
     import { chooseConfinement } from ${JSON.stringify(new URL("choose-confinement.ts", import.meta.url).href)};
     import { ConfinedProcess } from ${JSON.stringify(new URL("confined-process.ts", import.meta.url).href)};
     const needs = ${JSON.stringify(needs)};
     const args = ["-c", "cat ${secret}/key || echo shut out; exec cat"];
     const confinement = await chooseConfinement({ ...needs, args: [] });
     const child = await ConfinedProcess.start({ ...needs, args, confinement, env: {}, onStderr: () => {} });
     child.stdout.once("data", (text) => {
       process.send({ own: readFileSync("${secret}/key", "utf8"), kind: confinement.kind, theirs: text.toString() });
       void child[Symbol.asyncDispose]().then(() => process.disconnect());
     });`,
    );
    for (const path of [folder, secret, join(secret, "key"), file]) await chown(path, 65_534, 65_534);
    const connector = fork(file, { uid: 65_534, gid: 65_534, env: { ...process.env, HOME: folder } });
    const [report] = await once(connector, "message");
    expect(report).toStrictEqual({ own: "the key", kind: "user-namespace", theirs: "shut out\n" });
    await once(connector, "exit");
  },
);
