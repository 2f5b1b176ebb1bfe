import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withProfileLock } from "./profile-lock.ts";

let folder: string;
let lock: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-test-"));
  lock = join(folder, "renewal.lock");
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("work of one profile runs one at a time", async () => {
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  };
  await Promise.all(Array.from({ length: 5 }, () => withProfileLock(lock, work)));
  expect(most).toBe(1);
});

test("also between processes", async () => {
  const log = join(folder, "log");
  const worker = join(folder, "worker.ts");
  const source = new URL("profile-lock.ts", import.meta.url).href;
  await writeFile(
    worker,
    `import { appendFileSync } from "node:fs";
     import { setTimeout as delay } from "node:timers/promises";
     import { withProfileLock } from ${JSON.stringify(source)};
     for (let i = 0; i < 5; i += 1) await withProfileLock(${JSON.stringify(lock)}, async () => {
       appendFileSync(${JSON.stringify(log)}, "(");
       await delay(5);
       appendFileSync(${JSON.stringify(log)}, ")");
     });`,
  );
  const workers = [fork(worker), fork(worker), fork(worker)];
  const codes = await Promise.all(workers.map((child) => once(child, "exit")));
  expect(codes.map(([code]) => code)).toStrictEqual([0, 0, 0]);
  expect(await readFile(log, "utf8")).toBe("()".repeat(15));
});

test("a holder that died, or has held it for over a minute, does not hold it", async () => {
  await writeFile(lock, "999999999 dead");
  await withProfileLock(lock, async () => undefined, { waitMs: 2_000 });
  await writeFile(lock, `${process.pid} hangs`);
  const longAgo = new Date(Date.now() - 61_000);
  await utimes(lock, longAgo, longAgo);
  await withProfileLock(lock, async () => undefined, { waitMs: 2_000 });
});

test("a living holder is waited for, and not for ever", async () => {
  await writeFile(lock, `${process.pid} lives`);
  await expect(withProfileLock(lock, async () => undefined, { waitMs: 200 })).rejects.toMatchObject({
    code: "PROFILE_LOCKED",
  });
});
