import { randomUUID } from "node:crypto";
import { redactArguments, redactText, type EventInput } from "@sallyport/audit-log";
import { sha256Hex } from "@sallyport/identity";
import type { ResponseOutcome } from "./message.ts";
import { isObject, sourceOf, type JsonValue, type StrictJson } from "./strict-json.ts";

/** A call that went on: what ties its start to its end. */
export interface StartedCall {
  readonly started: EventInput;
  readonly at: bigint;
}

/** The facts of a call as the caller sent it. The hash is over the original bytes, the text is redacted. */
export function callFacts(
  json: StrictJson,
  tool: string,
  args: JsonValue | undefined,
  protocolVersion: string,
): EventInput {
  const source = Buffer.from(sourceOf(json, ["params", "arguments"]) ?? "");
  return {
    kind: "call.started",
    callId: randomUUID(),
    method: "tools/call",
    tool,
    protocolVersion,
    rpcId: sourceOf(json, ["id"]) ?? "",
    argumentsJson: args === undefined ? "" : redactArguments(args),
    argumentsSha256: source.length === 0 ? "" : sha256Hex(source),
    argumentsBytes: source.length,
  };
}

/** The event of a call whose answer came. */
export function finishedByAnswer(call: StartedCall, outcome: ResponseOutcome, json: StrictJson): EventInput {
  const source = Buffer.from(sourceOf(json, [outcome.kind]) ?? "");
  const answer = { resultSha256: sha256Hex(source), resultBytes: source.length };
  if (outcome.kind === "error") {
    return finished(call, "rpc_error", {
      ...answer,
      errorCode: String(outcome.code),
      resultPreview: redactText(outcome.message),
    });
  }
  const isError = isObject(outcome.result) && outcome.result["isError"] === true;
  return finished(call, isError ? "tool_error" : "ok", {
    ...answer,
    resultPreview: redactText(textOf(outcome.result)),
  });
}

/** The event of a call that ended without an answer. */
export function finished(call: StartedCall, outcome: string, facts: Partial<EventInput> = {}): EventInput {
  const durationUs = Number((process.hrtime.bigint() - call.at) / 1_000n);
  return { ...call.started, ...facts, kind: "call.finished", outcome, durationUs };
}

/** What a person would read of a result: its text blocks, else its structured content. */
function textOf(result: JsonValue): string {
  if (!isObject(result)) return "";
  const content = Array.isArray(result["content"]) ? result["content"] : [];
  const texts = content.flatMap((block: JsonValue) => {
    const text = isObject(block) ? block["text"] : undefined;
    return typeof text === "string" ? [text] : [];
  });
  if (texts.length > 0) return texts.join("\n");
  return result["structuredContent"] === undefined ? "" : JSON.stringify(result["structuredContent"]);
}
