import { expect, test } from "vitest";
import { parseStrictJson, type StrictJson } from "./strict-json.ts";
import { filterToolsList } from "./tools-list.ts";

function answer(tools: readonly object[]): { readonly line: Buffer; readonly json: StrictJson } {
  const line = Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id: 1, result: { tools } })}\n`);
  const json = parseStrictJson(line);
  if (json.kind === "fault") throw new Error(json.fault);
  return { line, json };
}

test("a list of more tools than a server has is no list: each name would cost a decision", () => {
  const { line, json } = answer(Array.from({ length: 2_049 }, (_, i) => ({ name: `t${i}` })));
  const visible = (): never => {
    throw new Error("was asked");
  };
  expect(filterToolsList(json, line, visible)).toBeUndefined();
});

test("an array of a million values leaves no million objects behind", () => {
  const json = parseStrictJson(Buffer.from(`{"result":[${"0,".repeat(1_000_000)}0]}`));
  expect(json.kind === "value" && json.spans.length).toBe(1);
});
