import type { EventInput } from "@sallyport/audit-log";
import { WireCode } from "@sallyport/frame";
import { circuitError, circuitOutcome, type CircuitEnd } from "../../circuit/circuit-end.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { errorLine, sallyportCode } from "./answers.ts";
import { DialerSession } from "./dialer-session.ts";
import { agreementOf, disagreement, type Handshake } from "./handshake.ts";
import { idKey, parseMessage, type Message } from "./message.ts";
import { relayLines } from "./relay-lines.ts";
import type { ServerRequests } from "./server-requests.ts";
import type { Writable } from "node:stream";

export interface LegInit {
  readonly circuit: Circuit;
  readonly handshake: Handshake;
  readonly serverRequests: ServerRequests;
  readonly stdout: Writable;
  readonly record: (event: EventInput) => void;
}

/** How taking up a conversation on a fresh circuit went. */
export type Resumption =
  | { readonly kind: "resumed" }
  /** The circuit ended meanwhile. */
  | { readonly kind: "lost" }
  /** The server is not one that the client can go on with. */
  | { readonly kind: "changed"; readonly why: string };

const handshakeTimeoutMs = 15_000;
/** A circuit that lived for so long, or carried an answer, has proven that the service is there. */
const provenAfterMs = 10_000;

/** One circuit of a client's conversation, from its first line to its end. */
export class Leg {
  readonly circuit: Circuit;
  /** Everything that arrived was handed on by then. */
  readonly over: Promise<CircuitEnd>;
  readonly #init: LegInit;
  readonly #session: DialerSession;
  readonly #startedAt: number = performance.now();
  /** The answer to the handshake that is replayed: not the client's. */
  #awaited: { readonly key: string; readonly resolve: (answer: Message) => void } | undefined;

  constructor(init: LegInit) {
    this.#init = init;
    this.circuit = init.circuit;
    this.#session = new DialerSession(init.record);
    this.over = this.#relay();
  }

  get isProven(): boolean {
    return this.#session.answered > 0 || performance.now() - this.#startedAt > provenAfterMs;
  }

  /** A `LineTaker`. */
  readonly take = (line: Buffer, done: () => void): boolean => {
    const { circuit } = this;
    if (!circuit.writable) return false;
    const message = parseMessage(line);
    this.#init.handshake.takeFromClient(message, line);
    // Nobody waits for the answer to a server that is gone.
    if (message.kind === "response" && !this.#init.serverRequests.answer(message.id)) done();
    else {
      this.#session.takeFromClient(message);
      if (circuit.write(line)) done();
      else onceWritable(circuit, done);
    }
    return true;
  };

  /** Has the client's handshake with a fresh server, as far as the client had it with the one before. */
  async resume(): Promise<Resumption> {
    const { state } = this.#init.handshake;
    if (state.kind === "asked") this.take(state.initialize, () => undefined);
    if (state.kind !== "agreed") return { kind: "resumed" };
    const answer = await this.#ask(state.initialize, state.key);
    if (answer === undefined) return { kind: "lost" };
    const why = disagreement(state.agreement, agreementOf(answer));
    if (why !== undefined) {
      this.circuit.reset(WireCode.cancelled);
      return { kind: "changed", why };
    }
    if (state.initialized !== undefined) this.circuit.write(state.initialized);
    return { kind: "resumed" };
  }

  /** The lines that answer what this circuit still owed. An `initialize` is owed by its successor, if there is to be one. */
  answerWaiting(end: CircuitEnd, willResume: boolean): readonly Buffer[] {
    const { state } = this.#init.handshake;
    if (willResume && state.kind === "asked") this.#session.forget(state.key);
    const error = circuitError(this.circuit.service, end);
    const outcome = end.kind === "ended" ? "disconnected" : circuitOutcome(end);
    return this.#session.close(
      outcome,
      error?.code ?? "SERVER_ENDED",
      error?.message ?? "The server ended the conversation.",
    );
  }

  async #relay(): Promise<CircuitEnd> {
    const { circuit } = this;
    const { stdout } = this.#init;
    const end = await relayLines({ source: circuit, sinks: [stdout], onLine: (line) => this.#fromHost(line) });
    if (end.kind === "line-too-long") circuit.reset(WireCode.limit);
    // The host's side is done: there is nobody left to ask.
    circuit.end();
    return await circuit.closedBy;
  }

  #fromHost(line: Buffer): void {
    const message = parseMessage(line);
    if (message.kind === "response" && this.#awaited?.key === idKey(message.id)) {
      this.#awaited.resolve(message);
      this.#awaited = undefined;
      return;
    }
    if (message.kind === "request" && !this.#init.serverRequests.ask(message.id)) {
      const reason = "The client may still answer an earlier request of this id";
      this.circuit.write(errorLine(message.id, sallyportCode.unreachable, reason));
      return;
    }
    this.#init.handshake.takeFromHost(message);
    this.#session.takeFromHost(message);
    this.#init.stdout.write(line);
  }

  /** Undefined when the circuit ended first. */
  async #ask(line: Buffer, key: string): Promise<Message | undefined> {
    const { promise, resolve } = Promise.withResolvers<Message>();
    this.#awaited = { key, resolve };
    const timer = setTimeout(() => this.circuit.reset(WireCode.unresponsive), handshakeTimeoutMs);
    this.circuit.write(line);
    const answer = await Promise.race([promise, this.over.then(() => undefined)]);
    clearTimeout(timer);
    return answer;
  }
}

/** Or gone: then the next line finds out. */
function onceWritable(circuit: Circuit, done: () => void): void {
  const go = (): void => {
    circuit.off("drain", go).off("close", go);
    done();
  };
  circuit.on("drain", go).on("close", go);
}
