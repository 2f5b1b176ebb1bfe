import { describe, expect, test } from "vitest";
import { parseMessage } from "./message.ts";

const parse = (text: string) => parseMessage(Buffer.from(text));

test("requests, notifications and responses are told apart", () => {
  expect(parse('{"jsonrpc":"2.0","id":"a","method":"ping"}')).toMatchObject({
    kind: "request",
    id: "a",
    method: "ping",
    params: {},
  });
  expect(parse('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')).toMatchObject({ kind: "notification" });
  expect(parse('{"jsonrpc":"2.0","id":7,"result":{}}')).toMatchObject({
    kind: "response",
    id: 7,
    outcome: { kind: "result" },
  });
  expect(parse('{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"x"}}')).toMatchObject({
    kind: "response",
    outcome: { kind: "error", code: -1 },
  });
});

describe("what another parser could take for a different call is malformed", () => {
  test.each([
    ["Method", '{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping"}', "DUPLICATE_NAME"],
    ["a lone variant of method", '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}', "CASE_VARIANT"],
    [
      "a lone variant of params",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"get-env"}}',
      "CASE_VARIANT",
    ],
    [
      "a lone variant of name",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"get-env"}}',
      "CASE_VARIANT",
    ],
    [
      "a lone variant of arguments",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Arguments":{}}}',
      "CASE_VARIANT",
    ],
    [
      "a variant by the long s",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"get-env"}}',
      "CASE_VARIANT",
    ],
    [
      "two names",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"get-env"}}',
      "DUPLICATE_NAME",
    ],
    [
      "a message between carriage returns",
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":\r{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get-env"}}\r}}',
      "CARRIAGE_RETURN",
    ],
    [
      "a name that ends at a NUL",
      String.raw`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name\u0000":"get-env","name":"echo"}}`,
      "DUPLICATE_NAME",
    ],
    [
      "a lone name that ends at a NUL",
      String.raw`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name\u0000":"get-env"}}`,
      "CASE_VARIANT",
    ],
    [
      "an integer that a double does not hold",
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":[9007199254740993]}}}',
      "INEXACT_NUMBER",
    ],
    ["a batch", '[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-env"}}]', "BATCH"],
    ["a request that is also a response", '{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{}}', "NOT_JSON_RPC"],
    ["an id of null", '{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"get-env"}}', "NOT_JSON_RPC"],
    ["a fractional id", '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "NOT_JSON_RPC"],
    ["params by position", '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["get-env"]}', "NOT_JSON_RPC"],
    ["another JSON-RPC", '{"jsonrpc":"1.0","id":1,"method":"ping"}', "NOT_JSON_RPC"],
    ["text", "Server started on stdio", "NOT_JSON"],
  ])("%s", (_, text, fault) => {
    expect(parse(text)).toMatchObject({ kind: "malformed", fault });
  });
});

test("numbers that every parser reads alike, and the same digits as text, are arguments", () => {
  const args = String.raw`{"a":9007199254740991,"b":-9007199254740991,"c":0.12345678901234567890,"d":1e20,"e":"9007199254740993","\"9007199254740993":1}`;
  expect(parse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":${args}}}`).kind).toBe(
    "request",
  );
  expect(parse('{"jsonrpc":"2.0","id":1,"result":{"id":9007199254740993}}').kind).toBe("response");
});

test("the line end of Windows is one", () => {
  expect(parse('{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n')).toMatchObject({ kind: "request" });
  expect(parse('{"jsonrpc":"2.0","id":1,"method":"ping"}\r\r\n')).toMatchObject({ fault: "CARRIAGE_RETURN" });
});

test("the refusal of a malformed request can be addressed to its id", () => {
  expect(parse('{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","Name":"b"}}')).toMatchObject({
    id: 9,
  });
});
