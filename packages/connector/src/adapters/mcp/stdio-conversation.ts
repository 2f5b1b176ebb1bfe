/**
 * A client's MCP conversation over standard input and output, for as long as it takes circuits.
 *
 * 1. A circuit whose path broke is dialed again; what was decided (a revocation, a refusal) and what the server ended stays ended.
 * 2. A request is sent once. One that no circuit took waits for the next; one that a lost circuit took and did not answer is answered with an
 *    error that says so, since it may have been done.
 * 3. The fresh server gets the client's handshake again, and its answer must be one on which the client can go on. What a server held of the
 *    conversation is lost: the client is told that lists may have changed, and what a server asked is taken back.
 * 4. The next dial follows at once, then ever more rarely, until one proves that the service is there or `redialForMs` are over.
 */
import { circuitError, type CircuitEnd } from "../../circuit/circuit-end.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { backOff } from "../../connector/back-off.ts";
import { circuitFacts } from "../../connector/events.ts";
import { ConnectorError } from "../../errors.ts";
import { refusalLine } from "./answers.ts";
import { mayDialAgainAfter, mayPass } from "./dial-again.ts";
import type { DialStdioEnd, DialStdioOptions } from "./dial-stdio.ts";
import { Handshake, refreshNotices } from "./handshake.ts";
import { Leg } from "./leg.ts";
import { parseMessage } from "./message.ts";
import { Outbox } from "./outbox.ts";
import { relayLines } from "./relay-lines.ts";
import { ServerRequests } from "./server-requests.ts";

type Next =
  | { readonly kind: "leg"; readonly leg: Leg }
  | { readonly kind: "failed"; readonly error: ConnectorError }
  /** The client left, or this side was told to stop. */
  | { readonly kind: "unwanted" };

const defaultRedialForMs = 30_000;

export class StdioConversation {
  readonly #options: DialStdioOptions;
  readonly #outbox = new Outbox();
  readonly #handshake = new Handshake();
  readonly #serverRequests = new ServerRequests();
  readonly #unwanted = new AbortController();
  /** Since the last circuit that proved that the service is there (4). */
  #failures = 0;
  #troubleSince: number | undefined;

  constructor(options: DialStdioOptions) {
    this.#options = options;
  }

  async run(first: Circuit): Promise<DialStdioEnd> {
    const { stdin, signal } = this.#options;
    void relayLines({
      source: stdin,
      sinks: [this.#outbox],
      onLine: (line) => void (this.#outbox.writable && this.#outbox.write(line)),
    }).then(() => this.#outbox.end());
    let leg = this.#leg(first);
    const stop = (): void => {
      this.#unwanted.abort();
      leg.circuit.destroy();
    };
    signal?.addEventListener("abort", stop, { once: true });
    this.#outbox.once("finish", () => this.#clientLeft(leg));
    this.#outbox.deliverTo(leg.take);
    try {
      for (;;) {
        const end = await leg.over;
        this.#outbox.deliverTo(undefined);
        const willResume = mayDialAgainAfter(end) && !this.#unwanted.signal.aborted;
        this.#tell(leg.answerWaiting(end, willResume));
        if (!willResume) return await this.#close(end, circuitError(leg.circuit.service, end));
        this.#tell(this.#serverRequests.takeBack());
        const next = await this.#next(leg);
        if (next.kind === "failed") return await this.#close(end, next.error);
        if (next.kind === "unwanted") return await this.#close({ kind: "ended" }, undefined);
        leg = next.leg;
        this.#outbox.deliverTo(leg.take);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  #leg(circuit: Circuit): Leg {
    const { connector, stdout } = this.#options;
    const facts = circuitFacts(circuit, connector.svid, "mcp");
    return new Leg({
      circuit,
      handshake: this.#handshake,
      serverRequests: this.#serverRequests,
      stdout,
      record: (event) => connector.record({ ...facts, ...event }),
    });
  }

  /** Everything it wrote is delivered. */
  #clientLeft(leg: Leg): void {
    this.#unwanted.abort();
    leg.circuit.end();
  }

  /** 4. */
  async #next(lost: Leg): Promise<Next> {
    if (lost.isProven) this.#forgive();
    this.#troubleSince ??= performance.now();
    const { connector, service, redialForMs = defaultRedialForMs } = this.#options;
    const leftMs = Math.max(0, redialForMs - (performance.now() - this.#troubleSince));
    const deadline = AbortSignal.timeout(Math.ceil(leftMs));
    const signal = AbortSignal.any([deadline, this.#unwanted.signal]);
    let last: ConnectorError | undefined;
    for (; ; this.#failures += 1) {
      if (this.#failures > 0) await backOff(this.#failures, signal).catch(() => undefined);
      if (this.#unwanted.signal.aborted) return { kind: "unwanted" };
      if (deadline.aborted) return { kind: "failed", error: givenUp(service, redialForMs, last) };
      try {
        const leg = this.#leg(await connector.dial(service, { protocol: "mcp", signal }));
        const resumption = await leg.resume();
        if (resumption.kind === "changed") return { kind: "failed", error: changed(service, resumption.why) };
        if (resumption.kind === "lost") continue;
        connector.log.info({ service, before: lost.circuit.circuitId, now: leg.circuit.circuitId }, "dialed again");
        const { state } = this.#handshake;
        if (state.kind === "agreed" && state.initialized !== undefined) this.#tell(refreshNotices(state.agreement));
        this.#failures += 1;
        return { kind: "leg", leg };
      } catch (error) {
        if (signal.aborted) continue;
        if (!(error instanceof ConnectorError)) throw error;
        if (!mayPass(error)) return { kind: "failed", error };
        last = error;
      }
    }
  }

  #forgive(): void {
    this.#failures = 0;
    this.#troubleSince = undefined;
  }

  #tell(lines: readonly Buffer[]): void {
    for (const line of lines) this.#options.stdout.write(line);
  }

  async #close(end: CircuitEnd, error: ConnectorError | undefined): Promise<DialStdioEnd> {
    const { stdin, stdout, signal } = this.#options;
    const why = error ?? serverEnded;
    this.#outbox.deliverTo((line, done) => {
      const message = parseMessage(line);
      if (message.kind === "request") this.#tell([refusalLine(message.id, why)]);
      done();
      return true;
    });
    this.#outbox.end();
    if (!this.#outbox.writableFinished) await new Promise((resolve) => this.#outbox.once("finish", resolve));
    await flushed(stdout);
    stdin.destroy();
    return error === undefined || signal?.aborted === true ? { kind: "ended" } : { kind: "cut", end, error };
  }
}

const serverEnded = new ConnectorError({ code: "CLOSED", message: "The server ended the conversation." });

function changed(service: string, why: string): ConnectorError {
  return new ConnectorError({
    code: "SERVER_CHANGED",
    message: `The circuit to ${service} was cut, and the client cannot go on with the server that answers now: ${why}.`,
    remedy: "Start the client's session with it anew.",
  });
}

function givenUp(service: string, afterMs: number, last: ConnectorError | undefined): ConnectorError {
  const why = last === undefined ? "" : `: ${last.message}`;
  return new ConnectorError({
    code: last?.code ?? "ROUTER_UNREACHABLE",
    message: `The circuit to ${service} was cut, and could not be had again within ${Math.round(afterMs / 1_000)} s${why}`,
    remedy: last?.remedy ?? "Check that the service is hosted, and start the client's session anew.",
    ...(last?.refusal === undefined ? {} : { refusal: last.refusal }),
    cause: last,
  });
}

function flushed(stdout: DialStdioOptions["stdout"]): Promise<void> {
  return new Promise((resolve) => {
    if (!stdout.writable) resolve();
    else stdout.write("", () => resolve());
  });
}
