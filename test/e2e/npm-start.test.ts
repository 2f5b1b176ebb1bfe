/** `npm start` as a person and a program use it: its output, its exit status, its end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { surveySockets } from "@sallyport/first-light";
import { beforeAll, expect, test } from "vitest";
import { isRunning } from "../network/is-running.ts";
import { checkout, storyFolder } from "../network/test-stage.ts";
import { type TemporaryHome, temporaryHome } from "../network/temporary-home.ts";

let home: TemporaryHome;

beforeAll(async () => {
  home = await temporaryHome();
  return () => home[Symbol.asyncDispose]();
});

interface Started {
  readonly pid: number;
  /** Everything said so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly status: Promise<number | null>;
}

/** What the script `start` of package.json runs, in a process group of its own, as a terminal does. */
function start(...args: readonly string[]): Started {
  const main = ["--conditions=sallyport-source", join(checkout, "packages/first-light/src/main.ts")];
  const child = spawn(process.execPath, [...main, "--state", home.stateDir, ...args], {
    cwd: "/",
    env: home.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const status = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
  return { pid: child.pid ?? 0, stdout: () => stdout, stderr: () => stderr, status };
}

test("without --once it stays up, prints commands with absolute paths, and Ctrl-C ends every process of it", async () => {
  const { pid, stdout, stderr, status } = start();
  await expect.poll(() => stdout() + stderr(), { timeout: 90_000 }).toContain("Ctrl-C ends everything.");
  const told = stdout();
  for (const [, command] of told.matchAll(/^ {2}(\/\S+) /gm)) await access(command ?? "");
  expect(told).toMatch(/^ {2}\/.*sallyport\.js audit tail/m);
  const processes = await surveySockets([pid]);
  expect(processes.length).toBeGreaterThan(8);
  process.kill(-pid, "SIGINT");
  expect(await status).toBe(0);
  const left = processes.filter(({ pid: each }) => isRunning(each));
  expect(left.map(({ command }) => command)).toEqual([]);
});

test("a Ctrl-C in the middle of the story is no success, and no step is told as failed by it", async () => {
  const { pid, stdout, stderr, status } = start("--once");
  await expect.poll(() => stdout() + stderr(), { timeout: 90_000 }).toContain("tools-listed");
  process.kill(-pid, "SIGINT");
  expect(await status).toBe(130);
  expect(stdout()).not.toMatch(/^✗/m);
  expect(stdout()).toContain("Ending everything");
  expect(stdout()).not.toContain("\u001B[");
});

test("a second start finds its state, and with --once --json says one object per step and ends by itself", async () => {
  const { stdout, status } = start("--once", "--json");
  expect(await status).toBe(0);
  const reports = stdout()
    .trim()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
  expect(reports.map(({ step, ok }) => [step, ok])).toEqual([
    ["enrolled", true],
    ["tools-listed", true],
    ["allowed-call", true],
    ["denied-tool", true],
    ["denied-argument", true],
    ["unreachable-service", true],
    ["dark", true],
    ["revoked", true],
    ["audited", true],
  ]);
  for (const { ms } of reports) expect(ms).toBeTypeOf("number");
});

test("a step that does not hold makes the exit status 1", async () => {
  const policy = join(home.folder, "careless-policy");
  await cp(join(storyFolder, "policy"), policy, { recursive: true });
  await writeFile(
    join(policy, "careless.cedar"),
    `@id("careless") permit (principal, action == Sallyport::Action::"dial", resource);`,
  );
  const { stdout, status } = start("--once", "--json", "--policy", policy);
  expect(await status).toBe(1);
  expect(stdout()).toContain(`{"step":"unreachable-service","ok":false`);
});

test("an option that does not exist is named, with those that do", async () => {
  const { stderr, status } = start("--onse");
  expect(await status).toBe(1);
  expect(stderr()).toMatch(/--onse[\s\S]*--once/);
});
