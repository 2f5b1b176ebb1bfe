import { describe, expect, test } from "vitest";
import { disagreement, Handshake, refreshNotices, type Agreement } from "./handshake.ts";
import { parseMessage } from "./message.ts";
import { ServerRequests } from "./server-requests.ts";

function lineOf(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`);
}

const before: Agreement = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} },
};

describe("a client can go on with a fresh server", () => {
  test("that can do the same, or more", () => {
    expect(disagreement(before, before)).toBeUndefined();
    const more = { ...before.capabilities, prompts: {}, resources: { subscribe: true, listChanged: true } };
    expect(disagreement(before, { ...before, capabilities: more })).toBeUndefined();
  });

  test.each([
    ["an error", undefined, "refuses"],
    ["another version", { ...before, protocolVersion: "2026-03-01" }, "2026-03-01"],
    ["no logging", { ...before, capabilities: { ...before.capabilities, logging: undefined as never } }, "logging"],
    ["no subscriptions", { ...before, capabilities: { ...before.capabilities, resources: {} } }, "resources.subscribe"],
  ])("but not with one that answers %s", (_, after, said) => {
    expect(disagreement(before, after)).toContain(said);
  });
});

test("only lists that the server said it would tell of are told of", () => {
  expect(refreshNotices(before).map(String)).toStrictEqual([
    '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n',
  ]);
});

test("a handshake is what the client had: asked, agreed, and initialized", () => {
  const handshake = new Handshake();
  const initialize = lineOf({ jsonrpc: "2.0", id: "a", method: "initialize", params: {} });
  const initialized = lineOf({ jsonrpc: "2.0", method: "notifications/initialized" });
  handshake.takeFromClient(parseMessage(initialize), initialize);
  expect(handshake.state).toMatchObject({ kind: "asked", initialize });
  handshake.takeFromHost(parseMessage(lineOf({ jsonrpc: "2.0", id: "b", result: before })));
  expect(handshake.state.kind).toBe("asked");
  handshake.takeFromHost(parseMessage(lineOf({ jsonrpc: "2.0", id: "a", result: before })));
  expect(handshake.state).toMatchObject({ kind: "agreed", agreement: before, initialized: undefined });
  handshake.takeFromClient(parseMessage(initialized), initialized);
  expect(handshake.state).toMatchObject({ kind: "agreed", initialize, initialized });
});

test("a handshake that the server refuses is none", () => {
  const handshake = new Handshake();
  const initialize = lineOf({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} });
  handshake.takeFromClient(parseMessage(initialize), initialize);
  handshake.takeFromHost(parseMessage(lineOf({ jsonrpc: "2.0", id: 1, error: { code: -32_600, message: "no" } })));
  expect(handshake.state).toStrictEqual({ kind: "none" });
});

describe("what a server asked of the client", () => {
  test("is answered once", () => {
    const requests = new ServerRequests();
    expect(requests.ask(0)).toBe(true);
    expect(requests.answer(0)).toBe(true);
    expect(requests.answer(0)).toBe(false);
  });

  test("is taken back when it is gone, and a late answer does not reach its successor", () => {
    const requests = new ServerRequests();
    requests.ask(0);
    expect(requests.takeBack().map((line): unknown => JSON.parse(line.toString()))).toMatchObject([
      { method: "notifications/cancelled", params: { requestId: 0 } },
    ]);
    expect(requests.ask(0)).toBe(false);
    expect(requests.ask(1)).toBe(true);
    expect(requests.answer(0)).toBe(false);
    // The client has answered what was taken back: nothing of that id is under way any more.
    expect(requests.ask(0)).toBe(true);
  });
});
