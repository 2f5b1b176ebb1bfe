import type { EventInput } from "@sallyport/audit-log";
import { errorLine, sallyportCode } from "./answers.ts";
import { callFacts, finished, finishedByAnswer, type StartedCall } from "./call-record.ts";
import { idKey, type Message, type RpcId } from "./message.ts";
import { isObject } from "./strict-json.ts";

interface Waiting {
  readonly id: RpcId;
  readonly call: StartedCall | undefined;
}

/**
 * The dialing side's view of an MCP conversation over one circuit. It changes no byte and judges nothing: it remembers what waits for an answer, so that
 * a cut is answered instead of hanging, and puts its own account of each call on record beside the host's.
 */
export class DialerSession {
  readonly #record: (event: EventInput) => void;
  readonly #waiting = new Map<string, Waiting>();
  #answered = 0;

  constructor(record: (event: EventInput) => void) {
    this.#record = record;
  }

  /** Answers that came. */
  get answered(): number {
    return this.#answered;
  }

  takeFromClient(message: Message): void {
    if (message.kind !== "request") return;
    const { id, method, params, json } = message;
    const { name, arguments: args } = params;
    const isCall = method === "tools/call" && typeof name === "string";
    const call = isCall
      ? { started: callFacts(json, name, isObject(args) ? args : undefined, ""), at: process.hrtime.bigint() }
      : undefined;
    if (call !== undefined) this.#record(call.started);
    this.#waiting.set(idKey(id), { id, call });
  }

  takeFromHost(message: Message): void {
    if (message.kind !== "response") return;
    this.#answered += 1;
    const key = idKey(message.id);
    const call = this.#waiting.get(key)?.call;
    this.#waiting.delete(key);
    if (call !== undefined) this.#record(finishedByAnswer(call, message.outcome, message.json));
  }

  /** Somebody else answers this request. */
  forget(key: string): void {
    this.#waiting.delete(key);
  }

  /**
   * The circuit is over: the lines that answer what is still waiting. All of it was sent, and may have been done or not: whoever repeats it
   * must know.
   */
  close(outcome: string, code: string, reason: string): readonly Buffer[] {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    return waiting.map(({ id, call }) => {
      if (call !== undefined) this.#record(finished(call, outcome));
      const message = `Sallyport: ${reason} Whether the request took effect is unknown; it was not repeated.`;
      return errorLine(id, sallyportCode.unreachable, message, { code, outcome: "unknown" });
    });
  }
}
