import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const subject = fileURLToPath(new URL("heap-for-buffers.ts", import.meta.url));

/** Full collections of a process that makes a gigabyte of buffers, 64 KiB each, and keeps none. */
async function fullCollections(prepare: string): Promise<number> {
  const program = `
    import { PerformanceObserver, constants } from "node:perf_hooks";
    import { tuneHeapForBuffers } from ${JSON.stringify(subject)};
    ${prepare}
    let full = 0;
    new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full += 1;
    }).observe({ entryTypes: ["gc"] });
    for (let turn = 0; turn < 1_000; turn += 1) {
      for (let made = 0; made < 16; made += 1) Buffer.allocUnsafeSlow(65_536);
      await new Promise(setImmediate);
    }
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    process.stdout.write(String(full));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program]);
  return Number(stdout);
}

test("buffers that die young start fewer full collections", async () => {
  const [untuned, tuned] = [await fullCollections(""), await fullCollections("tuneHeapForBuffers();")];
  expect(untuned).toBeGreaterThan(5);
  expect(tuned).toBeLessThan(untuned / 2);
});
