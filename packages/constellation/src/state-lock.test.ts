import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { isStateLocked, lockState } from "./state-lock.ts";

const folders: string[] = [];
let lockFile = "";

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-lock-"));
  folders.push(folder);
  lockFile = join(folder, "lock");
});

afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

test("a folder is held by one, until it is given back", async () => {
  const lock = await lockState(lockFile);
  await expect(lockState(lockFile)).rejects.toMatchObject({
    code: "STATE_LOCKED",
    message: expect.stringContaining(`process ${process.pid}`),
  });
  expect(await isStateLocked(lockFile)).toBe(true);
  await lock[Symbol.asyncDispose]();
  expect(await isStateLocked(lockFile)).toBe(false);
  await using _again = await lockState(lockFile);
});

test("of many who start at once one gets it", async () => {
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockState(lockFile)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("what a process that is gone has left is taken over", async () => {
  const child = spawn("/bin/true");
  await once(child, "exit");
  await writeFile(lockFile, JSON.stringify({ pid: child.pid, startedAt: "1" }));
  await using _lock = await lockState(lockFile);
  expect(await readdir(join(lockFile, ".."))).toEqual(["lock"]);
});

test("a later process with the same pid does not hold it", async () => {
  await writeFile(lockFile, JSON.stringify({ pid: process.pid, startedAt: "1" }));
  await using _lock = await lockState(lockFile);
});

test("a torn lock file is taken over", async () => {
  await writeFile(lockFile, '{"pid":');
  await using _lock = await lockState(lockFile);
});
