import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClickHouseClient, ClickHouseError, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedClickhouse } from "./embedded-clickhouse.ts";

/** What a reader that can write files would leave behind. */
const outfile = join(tmpdir(), `sallyport-outfile-${process.pid}`);
const quiet = { log: { level: ClickHouseLogLevel.OFF } };
let folder: string;
let engine: EmbeddedClickhouse;
let writer: ClickHouseClient;
let reader: ClickHouseClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-engine-test-"));
  engine = await EmbeddedClickhouse.start({ folder });
  writer = createClient({ ...engine.writer, ...quiet });
  reader = createClient({ ...engine.reader, ...quiet });
  await writer.command({
    query:
      "CREATE TABLE victim (text String, n UInt64 DEFAULT 0) ENGINE = MergeTree ORDER BY text SETTINGS non_replicated_deduplication_window = 100",
  });
});
afterAll(async () => {
  await Promise.all([writer.close(), reader.close()]);
  await engine[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function texts(condition: string, parameters: Record<string, unknown> = {}): Promise<string[]> {
  const result = await reader.query({
    query: `SELECT text FROM victim WHERE ${condition} ORDER BY text`,
    query_params: parameters,
    format: "JSONEachRow",
  });
  return (await result.json<{ text: string }>()).map((row) => row.text);
}

const payloads = [
  "\n\nDROP TABLE victim",
  "'); DROP TABLE victim; --",
  '"\\',
  "nul\0inside",
  "tab\tcr\r",
  "Ünïcødé 😀\u2028",
  "{text:String}",
  "\\N",
  "NULL",
  '{"text":"x"}\n\nDROP TABLE victim',
];

describe("the embedded engine", () => {
  test("gives hostile texts back byte for byte, from rows and from placeholders", async () => {
    await writer.insert({ table: "victim", values: payloads.map((text) => ({ text })), format: "JSONEachRow" });
    for (const text of payloads) expect(await texts("text = {text:String}", { text })).toEqual([text]);
  });

  test("never runs what follows an empty line in the data of an insert", async () => {
    const response = await post(
      "/?query=INSERT%20INTO%20victim%20FORMAT%20JSONEachRow",
      '{"text":"before"}\n\nDROP TABLE victim\n',
    );
    expect(response).toContain("is not JSON");
    expect(await texts("text = 'before'")).toEqual([]);
    expect(await texts("1")).toHaveLength(payloads.length);
  });

  test("keeps 64-bit integers exact, and refuses a bare number that JavaScript would round", async () => {
    await writer.insert({
      table: "victim",
      values: [{ text: "max", n: "18446744073709551615" }],
      format: "JSONEachRow",
    });
    const result = await reader.query({
      query: "SELECT n FROM victim WHERE text = 'max'",
      format: "JSONEachRow",
      clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
    });
    expect(await result.json()).toEqual([{ n: "18446744073709551615" }]);
    expect(
      await post("/?query=INSERT%20INTO%20victim%20FORMAT%20JSONEachRow", '{"text":"r","n":18446744073709551615}\n'),
    ).toContain("beyond 2^53");
  });

  test("drops a second insert under the same token, and only that one", async () => {
    const insert = (text: string, token?: string): Promise<unknown> =>
      writer.insert({
        table: "victim",
        values: [{ text }],
        format: "JSONEachRow",
        ...(token === undefined ? {} : { clickhouse_settings: { insert_deduplication_token: token } }),
      });
    await insert("once", "A");
    await insert("once", "A");
    await insert("once");
    expect(await texts("text = 'once'")).toEqual(["once", "once"]);
  });

  test("a failed query's output never reaches the next caller", async () => {
    const failing = writer.query({
      query:
        "SELECT throwIf(number = 500000), 'secret of another' FROM numbers(1000000) SETTINGS max_block_size = 1000",
      format: "JSONEachRow",
    });
    await expect(failing.then((result) => result.text())).rejects.toBeInstanceOf(ClickHouseError);
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) =>
        (
          await reader.query({ query: "SELECT {x:UInt32} AS x", query_params: { x: index }, format: "JSONEachRow" })
        ).json(),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, x) => [{ x }]));
  });

  test.each([
    ["SELECT * FROM file('/etc/passwd', 'LineAsString')"],
    ["SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'x String')"],
    [`SELECT 1 INTO OUTFILE '${outfile}'`],
    [`SELECT 1 INTO/**/OUTFILE '${outfile}'`],
    [`SELECT '--' INTO/**/OUTFILE '${outfile}'`],
    [`SELECT 1 INTO -- x\n OUTFILE '${outfile}'`],
    ["DROP TABLE victim"],
    ["INSERT INTO victim SELECT 'x', 1"],
    ["SELECT 1; DROP TABLE victim"],
    ["SET readonly = 0"],
  ])("a reader may not: %s", async (query) => {
    await expect(reader.command({ query })).rejects.toBeInstanceOf(ClickHouseError);
    await expect(stat(outfile)).rejects.toThrow("ENOENT");
    expect((await texts("1")).length).toBeGreaterThan(0);
  });

  test("refuses a setting that it would have to ignore", async () => {
    await expect(
      reader.query({ query: "SELECT 1", clickhouse_settings: { max_memory_usage: "0" } }),
    ).rejects.toMatchObject({ code: "115" });
  });

  test("answers nobody without this start's token", async () => {
    const stranger = createClient({ ...engine.reader, ...quiet, password: "" });
    await expect(stranger.query({ query: "SELECT 1" })).rejects.toMatchObject({ code: "516" });
    await stranger.close();
  });

  test("its socket is for this user only, and its secrets are in no argument and no environment", async () => {
    expect((await stat(join(folder, "http.sock"))).mode & 0o777).toBe(0o600);
    const visible =
      (await readFile(`/proc/${engine.pid}/cmdline`, "latin1")) +
      (await readFile(`/proc/${engine.pid}/environ`, "latin1"));
    expect(visible).not.toContain(engine.writer.password);
    expect(visible).not.toContain(engine.reader.password);
  });

  test("ends a query whose caller went away", async () => {
    const gone = new AbortController();
    const endless = reader.query({ query: "SELECT count() FROM numbers(1000000000000)", abort_signal: gone.signal });
    const endlessRuns = async (): Promise<string> =>
      (
        await writer.query({
          query: "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM numbers(1000000000000)%'",
          format: "TabSeparated",
        })
      ).text();
    await expect.poll(endlessRuns, { timeout: 5_000 }).toBe("1\n");
    gone.abort();
    await expect(endless).rejects.toThrow("aborted");
    await expect.poll(endlessRuns, { timeout: 5_000 }).toBe("0\n");
  });

  test("refuses bodies beyond its limits", async () => {
    expect(await post("/", `SELECT ${" ".repeat(300_000)}1`)).toContain("TOO_MANY_BYTES");
  });

  test("is back after kill -9, with everything that it had acknowledged", async () => {
    await writer.insert({ table: "victim", values: [{ text: "acknowledged" }], format: "JSONEachRow" });
    const { pid } = engine;
    execFileSync("kill", ["-9", String(pid)]);
    const read = (): Promise<string[]> => texts("text = 'acknowledged'").catch(() => []);
    await expect.poll(read, { timeout: 10_000 }).toEqual(["acknowledged"]);
    expect(engine.pid).not.toBe(pid);
  });

  test("a second owner of the folder waits for the first, and then has its data", async () => {
    const other = await mkdtemp(join(tmpdir(), "sallyport-engine-test-"));
    const first = await EmbeddedClickhouse.start({ folder: other });
    const firstWriter = createClient(first.writer);
    await firstWriter.command({ query: "CREATE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x" });
    await firstWriter.close();
    const second = EmbeddedClickhouse.start({ folder: other });
    await first[Symbol.asyncDispose]();
    await using owner = await second;
    const client = createClient(owner.reader);
    expect(await (await client.query({ query: "EXISTS TABLE t", format: "TabSeparated" })).text()).toBe("1\n");
    await client.close();
    await rm(other, { recursive: true, force: true });
  });
});

/** A request as a hostile client would write it. */
async function post(path: string, body: string): Promise<string> {
  const { username, password } = engine.writer;
  const call = request({
    socketPath: join(folder, "http.sock"),
    path,
    method: "POST",
    auth: `${username}:${password}`,
  });
  call.end(body);
  const [response] = await once(call, "response");
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}
