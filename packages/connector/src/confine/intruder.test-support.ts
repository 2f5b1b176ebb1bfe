/**
 * A program that tries to get at what its connector holds, and reports what it got as one line of JSON on stdout. Plain JavaScript text,
 * since it runs where only Node is sure to be.
 */
export const intruder: string = String.raw`
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync, openSync } from "node:fs";
import { createServer, connect } from "node:net";
import { networkInterfaces } from "node:os";

const goal = JSON.parse(process.argv[2]);
const attempt = (work) => {
  try {
    const got = work();
    return got === undefined ? "done" : String(got);
  } catch (error) {
    return "failed:" + (error.code ?? error.message);
  }
};
const listen = await new Promise((resolve) => {
  const server = createServer().once("error", (error) => resolve("failed:" + error.code));
  server.listen(0, "127.0.0.1", () => resolve(server.address().port));
});
const reach = await new Promise((resolve) => {
  const socket = connect({ host: "127.0.0.1", port: goal.port }).once("error", (error) => resolve("failed:" + error.code));
  socket.once("connect", () => socket.destroy() && resolve("done"));
});
const status = readFileSync("/proc/self/status", "utf8");
const field = (name) => new RegExp("^" + name + ":\\s+(\\S+)", "m").exec(status)?.[1];
console.log(JSON.stringify({
  uid: process.getuid(),
  env: process.env,
  capabilities: ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(field),
  noNewPrivs: field("NoNewPrivs"),
  reads: Object.fromEntries(goal.secrets.map((path) => [path, attempt(() => readFileSync(path, "utf8"))])),
  lists: Object.fromEntries(goal.folders.map((path) => [path, attempt(() => readdirSync(path).join())])),
  throughProc: attempt(() => readFileSync("/proc/" + goal.connectorPid + "/root" + goal.secrets[0], "utf8")),
  environment: attempt(() => readFileSync("/proc/" + goal.connectorPid + "/environ", "utf8")),
  memory: attempt(() => openSync("/proc/" + goal.connectorPid + "/mem", "r")),
  throughPid1: attempt(() => readFileSync("/proc/1/root" + goal.secrets[0], "utf8")),
  signal: attempt(() => process.kill(goal.connectorPid, 0)),
  processes: readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length,
  uncover: attempt(() => execFileSync("umount", [goal.folders[0]], { stdio: "pipe" })),
  become: attempt(() => process.setuid(0) ?? process.setgroups([0])),
  namespace: attempt(() => { if (spawnSync("unshare", ["--mount", "true"]).status !== 0) throw new Error("refused"); }),
  core: attempt(() => writeFileSync("/proc/sys/kernel/core_pattern", "|/bin/false")),
  write: attempt(() => writeFileSync(goal.outside, "x")),
  home: attempt(() => writeFileSync(process.env.HOME + "/mine", "x")),
  disks: attempt(() => readdirSync("/dev").filter((name) => /^(sd|vd|nvme|xvd|mem|kmem)/.test(name)).map((name) => attempt(() => openSync("/dev/" + name, "r"))).join()),
  interfaces: Object.values(networkInterfaces()).flat().length,
  listen,
  reach,
}));
process.stdin.resume();
`;

export interface Report {
  readonly uid: number;
  readonly env: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly noNewPrivs: string;
  readonly reads: Readonly<Record<string, string>>;
  readonly lists: Readonly<Record<string, string>>;
  readonly throughProc: string;
  readonly environment: string;
  readonly memory: string;
  readonly throughPid1: string;
  readonly signal: string;
  readonly processes: number;
  readonly uncover: string;
  readonly become: string;
  readonly namespace: string;
  readonly core: string;
  readonly write: string;
  readonly home: string;
  readonly disks: string;
  readonly interfaces: number;
  /** The port on its loopback, where it goes on listening; else why not. */
  readonly listen: number | string;
  readonly reach: string;
}
