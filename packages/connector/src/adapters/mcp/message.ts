import {
  foldCase,
  isObject,
  parseStrictJson,
  sourceOf,
  type JsonObject,
  type JsonValue,
  type StrictJson,
  type StrictJsonFault,
} from "./strict-json.ts";

/** JSON-RPC id: MCP narrows it to strings and integers (basic, "Requests"). */
export type RpcId = string | number;

export type Message =
  | {
      readonly kind: "request";
      readonly id: RpcId;
      readonly method: string;
      readonly params: JsonObject;
      readonly json: StrictJson;
    }
  | { readonly kind: "notification"; readonly method: string; readonly params: JsonObject; readonly json: StrictJson }
  | { readonly kind: "response"; readonly id: RpcId; readonly outcome: ResponseOutcome; readonly json: StrictJson }
  | { readonly kind: "malformed"; readonly fault: MessageFault; readonly id: RpcId | null };

export type ResponseOutcome =
  | { readonly kind: "result"; readonly result: JsonValue }
  | { readonly kind: "error"; readonly code: number; readonly message: string };

export type MessageFault = StrictJsonFault | "BATCH" | "CASE_VARIANT" | "NOT_JSON_RPC" | "INEXACT_NUMBER";

/** Names that decide what a message does. A server that matches names without regard to case would read a variant as one of these. */
const envelopeNames = namesByFold(["jsonrpc", "id", "method", "params", "result", "error"]);
const paramsNames = namesByFold([
  "name",
  "arguments",
  "uri",
  "_meta",
  "task",
  "inputResponses",
  "requestState",
  "cursor",
  "requestId",
]);

export function parseMessage(line: Uint8Array): Message {
  const json = parseStrictJson(line);
  if (json.kind === "fault") return { kind: "malformed", fault: json.fault, id: plainId(json.value) };
  if (Array.isArray(json.value)) return { kind: "malformed", fault: "BATCH", id: null };
  if (!isObject(json.value)) return { kind: "malformed", fault: "NOT_JSON_RPC", id: null };
  return classify(json.value, json);
}

/** Distinguishes `1` from `"1"`. */
export function idKey(id: RpcId): string {
  return `${typeof id}:${id}`;
}

function classify(message: JsonObject, json: StrictJson): Message {
  const malformed = (fault: MessageFault): Message => ({ kind: "malformed", fault, id: plainId(message) });
  const params = message["params"] ?? {};
  if (hasCaseVariant(message, envelopeNames)) return malformed("CASE_VARIANT");
  if (isObject(params) && hasCaseVariant(params, paramsNames)) return malformed("CASE_VARIANT");
  if (message["jsonrpc"] !== "2.0") return malformed("NOT_JSON_RPC");

  const method = message["method"];
  const hasId = Object.hasOwn(message, "id");
  const answers = Object.hasOwn(message, "result") !== Object.hasOwn(message, "error");
  if (
    typeof method === "string" &&
    isObject(params) &&
    !Object.hasOwn(message, "result") &&
    !Object.hasOwn(message, "error")
  ) {
    if (hasInexactArgument(json)) return malformed("INEXACT_NUMBER");
    if (!hasId) return { kind: "notification", method, params, json };
    const id = plainId(message);
    return id === null ? malformed("NOT_JSON_RPC") : { kind: "request", id, method, params, json };
  }
  const id = plainId(message);
  const outcome = answers && method === undefined ? outcomeOf(message) : undefined;
  if (id === null || outcome === undefined) return malformed("NOT_JSON_RPC");
  return { kind: "response", id, outcome, json };
}

function outcomeOf(message: JsonObject): ResponseOutcome | undefined {
  const { result, error } = message;
  if (result !== undefined) return { kind: "result", result };
  if (!isObject(error)) return undefined;
  const { code, message: text } = error;
  return typeof code === "number" && typeof text === "string" ? { kind: "error", code, message: text } : undefined;
}

function plainId(value: JsonValue | undefined): RpcId | null {
  const id = isObject(value) ? value["id"] : undefined;
  return typeof id === "string" || (typeof id === "number" && Number.isSafeInteger(id)) ? id : null;
}

const strings = /"(?:[^"\\]|\\.)*"/g;
const longIntegers = /(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/**
 * Whether an argument is an integer beyond ±(2^53 - 1). Policy would judge the nearest double, and a server with whole numbers of any size act on
 * another one. Only in arguments: nothing is decided by the numbers of an answer.
 */
function hasInexactArgument(json: StrictJson): boolean {
  const source = sourceOf(json, ["params", "arguments"])?.replace(strings, '""') ?? "";
  return (source.match(longIntegers) ?? []).some((literal) => !Number.isSafeInteger(Number(literal)));
}

function namesByFold(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [foldCase(name), name]));
}

function hasCaseVariant(object: JsonObject, canonical: ReadonlyMap<string, string>): boolean {
  return Object.keys(object).some((name) => {
    const exact = canonical.get(foldCase(name));
    return exact !== undefined && exact !== name;
  });
}
