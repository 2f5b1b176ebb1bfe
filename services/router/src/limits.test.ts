import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { routerLimits } from "./limits.ts";

test("the README's table of limits is what the router holds itself to", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const rows = [...readme.matchAll(/^\| `([\w.]+)` +\| ([\d,]+) +\|/gm)].map(([, name, value]) => [
    name,
    Number(value?.replaceAll(",", "")),
  ]);
  expect(Object.fromEntries(rows)).toEqual({ ...routerLimits });
});
