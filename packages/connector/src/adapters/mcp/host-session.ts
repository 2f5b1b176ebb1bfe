/**
 * One MCP conversation as the host's side sees it: lines in, lines out, nothing else. Both eras, stdio framing.
 *
 * 1. What goes on goes on as its original bytes; a copy is parsed. What cannot be parsed strictly does not go on.
 * 2. An id is in flight once at a time and in one direction, so that an answer belongs to one request.
 * 3. An answer that nobody waits for does not reach the caller: a server cannot slip an unfiltered list past rule 4.
 * 4. tools/list shows the caller what it may call under some arguments; tools/call is decided with the arguments of this call.
 * 5. Every call that started is on record as finished, at the latest when the conversation ends.
 */
import { decisionFacts, type EventInput } from "@sallyport/audit-log";
import type { Decision } from "@sallyport/policy-engine";
import { errorLine, refusedCall, rpcCode, unknownTool } from "./answers.ts";
import { callFacts, finished, finishedByAnswer, type StartedCall } from "./call-record.ts";
import { idKey, parseMessage, type Message, type MessageFault, type RpcId } from "./message.ts";
import { clientMethods, isNotification, serverMethods } from "./methods.ts";
import { isObject, type JsonObject, type StrictJson } from "./strict-json.ts";
import { filterToolsList } from "./tools-list.ts";

export interface HostSessionOptions {
  /** For the caller that the circuit proved. */
  readonly decideCall: (tool: string, args: unknown) => Decision;
  readonly visibleTools: (names: readonly string[]) => ReadonlySet<string>;
  readonly toServer: (line: Buffer) => void;
  readonly toClient: (line: Buffer) => void;
  readonly record: (event: EventInput) => void;
  /** The server wrote something that is no message: free text on stdout, or worse. */
  readonly onNoise: (fault: MessageFault) => void;
}

type Request = Extract<Message, { kind: "request" }>;
type Response = Extract<Message, { kind: "response" }>;
/** `call` is gone once its end is on record, though its answer may still come. */
type Pending = { readonly method: string; call: StartedCall | undefined };

const maxInFlight = 4_096;
const protocolVersionKey = "io.modelcontextprotocol/protocolVersion";

export class HostSession {
  readonly #options: HostSessionOptions;
  readonly #fromClient = new Map<string, Pending>();
  readonly #fromServer = new Set<string>();
  /** What the legacy handshake agreed on. */
  #protocolVersion = "";

  constructor(options: HostSessionOptions) {
    this.#options = options;
  }

  takeFromClient(line: Buffer): void {
    if (isBlank(line)) return;
    const message = parseMessage(line);
    switch (message.kind) {
      case "request":
        this.#onRequest(message, line);
        return;
      case "notification":
        this.#onNotification(message.method, message.params, line);
        return;
      case "response":
        if (this.#fromServer.delete(idKey(message.id))) this.#options.toServer(line);
        return;
      case "malformed":
        this.#refuseMalformed(message.fault, message.id);
        return;
    }
  }

  takeFromServer(line: Buffer): void {
    if (isBlank(line)) return;
    const message = parseMessage(line);
    switch (message.kind) {
      case "response":
        this.#onAnswer(message, line);
        return;
      case "request":
        this.#onServerRequest(message, line);
        return;
      case "notification":
        if (isNotification(message.method)) this.#options.toClient(line);
        return;
      case "malformed":
        this.#options.onNoise(message.fault);
        return;
    }
  }

  /** The conversation is over; calls without an answer end with `outcome`. */
  close(outcome: string): void {
    for (const { call } of this.#fromClient.values()) {
      if (call !== undefined) this.#options.record(finished(call, outcome));
    }
    this.#fromClient.clear();
  }

  #onRequest(request: Request, line: Buffer): void {
    const { id, method } = request;
    if (this.#fromClient.has(idKey(id))) {
      this.#reject(request, null, rpcCode.invalidRequest, "ID_IN_USE", `Request id ${JSON.stringify(id)} is in use`);
    } else if (this.#fromClient.size >= maxInFlight) {
      const message = `${maxInFlight} requests are waiting for their answers`;
      this.#reject(request, id, rpcCode.invalidRequest, "TOO_MANY_REQUESTS", message);
    } else if (!clientMethods.has(method)) {
      this.#options.toClient(errorLine(id, rpcCode.methodNotFound, `Method not found: ${method}`));
    } else if (method === "tools/call") {
      this.#onCall(request, line);
    } else {
      this.#forward(id, { method, call: undefined }, line);
    }
  }

  /** A request that does not get as far as policy. A call among them is on record like one that policy refuses. */
  #reject({ method, params, json }: Request, id: RpcId | null, code: number, errorCode: string, reason: string): void {
    const { record, toClient } = this.#options;
    if (method === "tools/call") {
      const { name, arguments: args } = params;
      const facts = callFacts(json, typeof name === "string" ? name : "", args, this.#versionOf(params));
      record({ ...facts, kind: "call.refused", outcome: "denied", errorCode, reason });
    }
    toClient(errorLine(id, code, reason));
  }

  #onCall(request: Request, line: Buffer): void {
    const { id, params, json } = request;
    const { name, arguments: args } = params;
    if (typeof name !== "string" || (args !== undefined && !isObject(args))) {
      const message = "tools/call needs a name, and arguments by name";
      this.#reject(request, id, rpcCode.invalidParams, "PARAMS_INVALID", message);
      return;
    }
    const version = this.#versionOf(params);
    const decision = this.#options.decideCall(name, args);
    const facts = { ...callFacts(json, name, args, version), ...decisionFacts(decision) };
    if (decision.decision === "deny") {
      this.#refuseCall(id, name, decision, facts, params);
      return;
    }
    this.#options.record(facts);
    this.#forward(id, { method: "tools/call", call: { started: facts, at: process.hrtime.bigint() } }, line);
  }

  #refuseCall(id: RpcId, name: string, decision: Decision, facts: EventInput, params: JsonObject): void {
    const { record, toClient, visibleTools } = this.#options;
    record({ ...facts, kind: "call.refused", outcome: "denied", errorCode: decision.code });
    // Other reasons than policy (no fresh head, an identity that is denied) hold for every tool alike and hide none.
    const isHidden = decision.code === "POLICY_DENIED" && !visibleTools([name]).has(name);
    toClient(isHidden ? unknownTool(id, name, decision) : refusedCall(id, decision, isModern(params)));
  }

  #refuseMalformed(fault: MessageFault, id: RpcId | null): void {
    const { record, toClient } = this.#options;
    record({
      kind: "call.refused",
      outcome: "denied",
      errorCode: fault,
      reason: faultReasons[fault],
      rpcId: id === null ? "" : JSON.stringify(id),
    });
    const code = fault === "NOT_JSON" || fault === "NOT_UTF8" ? rpcCode.parseError : rpcCode.invalidRequest;
    // An id that is in flight belongs to another request.
    const addressed = id !== null && !this.#fromClient.has(idKey(id)) ? id : null;
    toClient(errorLine(addressed, code, `Refused: ${faultReasons[fault]}`));
  }

  #onNotification(method: string, params: JsonObject, line: Buffer): void {
    if (!isNotification(method)) return;
    if (method === "notifications/cancelled") this.#onCancelled(params);
    this.#options.toServer(line);
  }

  #onCancelled({ requestId }: JsonObject): void {
    if (typeof requestId !== "string" && typeof requestId !== "number") return;
    const pending = this.#fromClient.get(idKey(requestId));
    if (pending?.call === undefined) return;
    this.#options.record(finished(pending.call, "cancelled"));
    pending.call = undefined;
  }

  #onAnswer(answer: Response, line: Buffer): void {
    const key = idKey(answer.id);
    const pending = this.#fromClient.get(key);
    if (pending === undefined) return;
    this.#fromClient.delete(key);
    if (pending.call !== undefined) this.#options.record(finishedByAnswer(pending.call, answer.outcome, answer.json));
    if (pending.method === "initialize") this.#protocolVersion = initializedVersion(answer);
    const isList = pending.method === "tools/list" && answer.outcome.kind === "result";
    this.#options.toClient(isList ? this.#filtered(answer.id, answer.json, line) : line);
  }

  #filtered(id: RpcId, json: StrictJson, line: Buffer): Buffer {
    const list = filterToolsList(json, line, this.#options.visibleTools);
    if (list === undefined) return errorLine(id, rpcCode.internalError, "The server's list of tools cannot be read");
    const attributes = { shown: String(list.shown.length), hidden: String(list.hidden) };
    this.#options.record({
      kind: "tools.listed",
      method: "tools/list",
      outcome: "ok",
      protocolVersion: this.#protocolVersion,
      attributes,
    });
    return list.line;
  }

  #onServerRequest({ id, method }: Request, line: Buffer): void {
    const key = idKey(id);
    if (!serverMethods.has(method) || this.#fromServer.has(key) || this.#fromServer.size >= maxInFlight) {
      this.#options.toServer(errorLine(id, rpcCode.methodNotFound, `Method not found: ${method}`));
      return;
    }
    this.#fromServer.add(key);
    this.#options.toClient(line);
  }

  #forward(id: RpcId, pending: Pending, line: Buffer): void {
    this.#fromClient.set(idKey(id), pending);
    this.#options.toServer(line);
  }

  #versionOf(params: JsonObject): string {
    const meta = params["_meta"];
    const version = isObject(meta) ? meta[protocolVersionKey] : undefined;
    return typeof version === "string" ? version : this.#protocolVersion;
  }
}

const faultReasons: Readonly<Record<MessageFault, string>> = {
  NOT_UTF8: "the message is not UTF-8",
  NOT_JSON: "the message is not JSON",
  CARRIAGE_RETURN: "the message has a carriage return inside, where some readers end a line",
  DUPLICATE_NAME: "the message has two names that are equal, or equal but for case",
  LONE_SURROGATE: "the message has a lone surrogate",
  TOO_DEEP: "the message is nested too deeply",
  BATCH: "batches are not part of this protocol",
  CASE_VARIANT: "the message has a name in another case than the protocol's",
  INEXACT_NUMBER: "an argument is an integer beyond 2^53 - 1, which programs read differently: send it as text",
  NOT_JSON_RPC: "the message is no JSON-RPC 2.0 message of MCP",
};

function isModern(params: JsonObject): boolean {
  return isObject(params["_meta"]) && params["_meta"][protocolVersionKey] !== undefined;
}

function initializedVersion({ outcome }: Response): string {
  const result = outcome.kind === "result" ? outcome.result : undefined;
  const version = isObject(result) ? result["protocolVersion"] : undefined;
  return typeof version === "string" ? version : "";
}

function isBlank(line: Buffer): boolean {
  return line.length <= 2 && line.toString("latin1").trim() === "";
}
