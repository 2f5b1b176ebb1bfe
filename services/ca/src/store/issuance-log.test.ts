import { appendFile, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NewIssuance } from "../domain/issuance.ts";
import { IssuanceLog, type LogFile } from "./issuance-log.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  path = join(dir, "issuance.log");
});

afterEach(async () => {
  await rm(dir, { recursive: true });
});

function entry(serial: number): NewIssuance {
  return {
    timeUnixMs: 1,
    spiffeId: "spiffe://a.org/workload/agent/one",
    serial: serial.toString(16).padStart(2, "0"),
    notBeforeUnixMs: 1,
    notAfterUnixMs: 2,
    certificateSha256: "c",
    spkiSha256: "s",
    issuerSha256: "i",
    requestedBy: "spiffe://a.org/service/enrollment/1",
    requestId: "",
  };
}

async function write(...serials: readonly number[]): Promise<void> {
  await using log = await IssuanceLog.open(path);
  for (const serial of serials) await log.append(entry(serial));
}

async function serials(): Promise<readonly string[]> {
  const lines = (await readFile(path, "utf8")).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line.slice(65)).serial);
}

describe("the issuance log", () => {
  test("numbers its entries across restarts", async () => {
    await write(1, 2);
    await using log = await IssuanceLog.open(path);
    expect(log.length).toBe(2);
    expect(await log.append(entry(3))).toMatchObject({ sequence: 3, serial: "03" });
    expect(await serials()).toEqual(["01", "02", "03"]);
  });

  test("holds an entry on disk before it says so", async () => {
    await using log = await IssuanceLog.open(path);
    await log.append(entry(1));
    expect(await serials()).toEqual(["01"]);
  });

  test("keeps the order of entries that come at once", async () => {
    await using log = await IssuanceLog.open(path);
    const issuances = await Promise.all([1, 2, 3, 4, 5].map((serial) => log.append(entry(serial))));
    expect(issuances.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(await serials()).toEqual(["01", "02", "03", "04", "05"]);
  });

  test("cuts a torn tail at any byte, and goes on", async () => {
    await write(1, 2);
    const whole = await readFile(path);
    const firstLine = whole.indexOf("\n") + 1;
    for (let length = firstLine; length < whole.length; length += 11) {
      await writeFile(path, whole.subarray(0, length));
      let torn = 0;
      await using log = await IssuanceLog.open(path, { onTorn: (bytes) => (torn = bytes) });
      expect([log.length, torn]).toEqual([1, length - firstLine]);
      expect(await log.append(entry(9))).toMatchObject({ sequence: 2 });
      expect(await serials()).toEqual(["01", "09"]);
    }
  });

  test("cuts zeros that a crash left where data should be", async () => {
    await write(1);
    await appendFile(path, Buffer.alloc(5000));
    await write(2);
    expect(await serials()).toEqual(["01", "02"]);
  });

  test("does not open when a line in the middle was changed, taken out or put elsewhere", async () => {
    await write(1, 2, 3);
    const [first = "", second = "", third = ""] = (await readFile(path, "utf8")).split("\n");
    const changed = second.replace("agent", "admin");
    for (const lines of [
      [first, changed, third],
      [first, third],
      [second, third],
      [first, third, second],
      ["", first, second],
    ]) {
      await writeFile(path, `${lines.join("\n")}\n`);
      await expect(IssuanceLog.open(path)).rejects.toMatchObject({ code: "LOG_CORRUPT" });
    }
  });

  test("is not filled up by a line without an end", async () => {
    await write(1);
    await appendFile(path, Buffer.alloc(3_000_000, "x"));
    await write(2);
    await appendFile(path, `${"x".repeat(2_000_000)}\n`);
    await write(3);
    expect(await serials()).toEqual(["01", "02", "03"]);
  });

  test.each([
    ["writes half of an entry", { appended: 20, synced: true }],
    ["writes an entry but does not sync it", { appended: 5000, synced: false }],
  ])("refuses the entry when the disk %s, and goes on when it works again", async (_, fault) => {
    const disk = faultyDisk();
    await using log = await IssuanceLog.open(path, { openFile: disk.open });
    await log.append(entry(1));
    disk.fault = fault;
    await expect(log.append(entry(2))).rejects.toMatchObject({ code: "LOG_UNAVAILABLE" });
    disk.fault = null;
    const issuance = await log.append(entry(3));
    expect(await serials()).toContain("03");
    expect(issuance.sequence).toBe(log.length);
    await using again = await IssuanceLog.open(path);
    expect(again.length).toBe(log.length);
  });

  test("refuses entries once it is closed", async () => {
    const log = await IssuanceLog.open(path);
    await log[Symbol.asyncDispose]();
    await expect(log.append(entry(1))).rejects.toMatchObject({ code: "LOG_UNAVAILABLE" });
  });
});

interface Fault {
  /** Bytes that still reach the file. */
  readonly appended: number;
  readonly synced: boolean;
}

/** The real disk, which fails when it is told to. */
function faultyDisk(): { fault: Fault | null; readonly open: (path: string) => Promise<LogFile> } {
  const disk: { fault: Fault | null; readonly open: (path: string) => Promise<LogFile> } = {
    fault: null,
    open: async (name) => {
      const file = await open(name, "a");
      return {
        appendFile: async (bytes) => {
          await file.appendFile(bytes.subarray(0, disk.fault?.appended));
          if (disk.fault !== null && disk.fault.appended < bytes.length) throw new Error("ENOSPC");
        },
        datasync: async () => {
          if (disk.fault?.synced === false) throw new Error("EIO");
          await file.datasync();
        },
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
      };
    },
  };
  return disk;
}
