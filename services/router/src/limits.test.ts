import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { settingOf } from "./limit-settings.ts";
import { routerLimits } from "./limits.ts";

const docs = new URL("../../../docs/limits.md", import.meta.url);

interface Row {
  readonly name: string;
  readonly value: number;
  readonly setting: string;
  readonly test: URL;
}

const rowPattern = /^\| `(\w+)` +\| ([\d,]+) +\|[^|]+\|[^|]+\| `(\w+)` +\| \[[^\]]+\]\(([^)]+)\) +\|$/gm;
const text = await readFile(docs, "utf8");
const rows: readonly Row[] = [...text.matchAll(rowPattern)].map(
  ([, name = "", value = "", setting = "", path = ""]) => ({
    name,
    value: Number(value.replaceAll(",", "")),
    setting,
    test: new URL(path, docs),
  }),
);

test("docs/limits.md has every limit of the router, with the default and the setting that the code has", () => {
  expect(Object.fromEntries(rows.map(({ name, value }) => [name, value]))).toEqual({ ...routerLimits });
  expect(rows).toHaveLength(Object.keys(routerLimits).length);
  for (const { name, setting } of rows) expect(setting).toBe(settingOf(name));
});

test.each(rows)("$name has a test that names it", async ({ name, test: file }) => {
  expect(await readFile(file, "utf8")).toMatch(new RegExp(`\\b${name}\\b`));
});
