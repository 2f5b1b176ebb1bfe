import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lastWords } from "./process-log.ts";

async function folderWith(log: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-log-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "router.log"), log);
  return folder;
}

test("a process that said why it failed is quoted by that alone, without a stack", async () => {
  const started = JSON.stringify({ level: 30, msg: "started" });
  const failed = (message: string): string =>
    JSON.stringify({ level: 60, err: { message, stack: "at…", remedy: "choose another port" }, msg: "failed" });
  const folder = await folderWith(`${started}\n${failed("earlier")}\n${failed("the port is taken")}\n${started}\n`);
  expect(await lastWords(folder, "router")).toBe("the port is taken; choose another port");
});

test("of any other log the end is quoted, of none nothing", async () => {
  const folder = await folderWith("one\ntwo\n");
  expect(await lastWords(folder, "router")).toBe("one\ntwo");
  expect(await lastWords(folder, "nats")).toBe("");
});
