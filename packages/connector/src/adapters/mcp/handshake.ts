/**
 * The handshake of the legacy era (until 2025-11-25) as the client had it, to be had again with a fresh server. Since 2026-07-28 there is none:
 * every request says what the handshake said, and nothing is replayed.
 */
import { idKey, type Message } from "./message.ts";
import { isObject, type JsonObject, type JsonValue } from "./strict-json.ts";

export type HandshakeState =
  | { readonly kind: "none" }
  /** The client waits for the answer. */
  | { readonly kind: "asked"; readonly initialize: Buffer; readonly key: string }
  | {
      readonly kind: "agreed";
      readonly initialize: Buffer;
      readonly key: string;
      readonly agreement: Agreement;
      /** The client's notification, once it was sent. */
      readonly initialized: Buffer | undefined;
    };

/** What the client builds on for the rest of its session. */
export interface Agreement {
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
}

export class Handshake {
  #state: HandshakeState = { kind: "none" };

  get state(): HandshakeState {
    return this.#state;
  }

  takeFromClient(message: Message, line: Buffer): void {
    if (message.kind === "request" && message.method === "initialize")
      this.#state = { kind: "asked", initialize: line, key: idKey(message.id) };
    if (message.kind === "notification" && message.method === "notifications/initialized")
      if (this.#state.kind === "agreed") this.#state = { ...this.#state, initialized: line };
  }

  takeFromHost(message: Message): void {
    const state = this.#state;
    if (message.kind !== "response" || state.kind !== "asked" || idKey(message.id) !== state.key) return;
    const agreement = agreementOf(message);
    const { initialize, key } = state;
    this.#state =
      agreement === undefined
        ? { kind: "none" }
        : { kind: "agreed", initialize, key, agreement, initialized: undefined };
  }
}

/** Undefined for an error, and for a result that is none of MCP's. */
export function agreementOf(message: Message): Agreement | undefined {
  const result = message.kind === "response" && message.outcome.kind === "result" ? message.outcome.result : undefined;
  if (!isObject(result) || typeof result["protocolVersion"] !== "string") return undefined;
  const { protocolVersion, capabilities } = result;
  return { protocolVersion, capabilities: isObject(capabilities) ? capabilities : {} };
}

/** Why a client cannot go on with a server that answered `after`, having built on `before`; undefined when it can. More than before is fine. */
export function disagreement(before: Agreement, after: Agreement | undefined): string | undefined {
  if (after === undefined) return "it refuses the client's handshake";
  if (after.protocolVersion !== before.protocolVersion)
    return `it speaks protocol version ${after.protocolVersion.slice(0, 32)}, and the one before spoke ${before.protocolVersion.slice(0, 32)}`;
  const lacks = lacking(before.capabilities, after.capabilities);
  return lacks.length === 0 ? undefined : `it lacks what the one before could do: ${lacks.join(", ")}`;
}

/** Dotted names of capabilities, and of what is `true` within them. */
function lacking(before: JsonObject, after: JsonObject): readonly string[] {
  return Object.entries(before).flatMap(([name, details]) => {
    const now = after[name];
    if (now === undefined) return [name];
    return trueNames(details).flatMap((detail) => (trueNames(now).includes(detail) ? [] : [`${name}.${detail}`]));
  });
}

function trueNames(details: JsonValue | undefined): readonly string[] {
  if (!isObject(details)) return [];
  return Object.entries(details).flatMap(([name, value]) => (value === true ? [name] : []));
}

/** What the protocol offers to tell a client that a list may be another one now, for the lists of which the server said that it would. */
export function refreshNotices({ capabilities }: Agreement): readonly Buffer[] {
  return ["tools", "resources", "prompts"].flatMap((list) => {
    const method = `notifications/${list}/list_changed`;
    const isTold = trueNames(capabilities[list]).includes("listChanged");
    return isTold ? [Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", method })}\n`)] : [];
  });
}
