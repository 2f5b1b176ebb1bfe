/**
 * The command of an MCP client's configuration: MCP over stdio here, a circuit to a dark server there.
 *
 * 1. Every request gets an answer. When the dial is refused, or the circuit is cut, that answer is a JSON-RPC error that says why and carries
 *    the decision's id, since an MCP client shows errors to its user, and exit codes to nobody.
 * 2. Bytes go through unchanged in both directions.
 */
import type { Readable, Writable } from "node:stream";
import { circuitError, circuitOutcome, type CircuitEnd } from "../../circuit/circuit-end.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import type { Connector } from "../../connector/connector.ts";
import { circuitFacts } from "../../connector/events.ts";
import { ConnectorError } from "../../errors.ts";
import { errorLine, sallyportCode } from "./answers.ts";
import { DialerSession } from "./dialer-session.ts";
import { parseMessage } from "./message.ts";
import { relayLines } from "./relay-lines.ts";

export interface DialStdioOptions {
  readonly connector: Connector;
  readonly service: string;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly signal?: AbortSignal;
}

export type DialStdioEnd =
  /** The client or the server ended the conversation. */
  | { readonly kind: "ended" }
  /** There was never a circuit. The first request was answered with the reason. */
  | { readonly kind: "refused"; readonly error: ConnectorError }
  /** The circuit was cut while it ran. What waited was answered with the reason. */
  | { readonly kind: "cut"; readonly end: CircuitEnd; readonly error: ConnectorError };

/** Until the conversation is over; `stdout` has taken everything by then. The caller exits non-zero for all but `ended`. */
export async function dialStdio(options: DialStdioOptions): Promise<DialStdioEnd> {
  const { connector, service, stdin, stdout, signal } = options;
  let circuit: Circuit;
  try {
    circuit = await connector.dial(service, { protocol: "mcp", ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    if (!(error instanceof ConnectorError)) throw error;
    await answerFirstRequest(stdin, stdout, error);
    return { kind: "refused", error };
  }
  return await relay(circuit, options);
}

/** How long a client that first asked for something else (a probe by `server/discover`) may take to come to `initialize`. */
const probeGraceMs = 2_000;

/** The error that `sallyport mcp` answers to a client whose service cannot be reached, also when there is not even a connector. */
export async function answerFirstRequest(stdin: Readable, stdout: Writable, error: ConnectorError): Promise<void> {
  const answered = Promise.withResolvers<void>();
  let grace: NodeJS.Timeout | undefined;
  const ended = relayLines({
    source: stdin,
    sinks: [stdout],
    onLine: (line) => {
      const message = parseMessage(line);
      if (message.kind !== "request") return;
      const isHandshake = message.method === "initialize";
      stdout.write(refusalLine(message.id, error), () => isHandshake && answered.resolve());
      grace ??= setTimeout(answered.resolve, probeGraceMs);
    },
  });
  await Promise.race([answered.promise, ended]);
  clearTimeout(grace);
  stdin.destroy();
}

async function relay(circuit: Circuit, { connector, stdin, stdout, signal }: DialStdioOptions): Promise<DialStdioEnd> {
  const facts = circuitFacts(circuit, connector.svid, "mcp");
  const session = new DialerSession((event) => connector.record({ ...facts, ...event }));
  const stop = (): void => void circuit.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  void relayLines({
    source: stdin,
    sinks: [circuit],
    onLine: (line) => {
      session.takeFromClient(line);
      if (circuit.writable) circuit.write(line);
    },
  }).then(() => circuit.end());
  const fromHost = relayLines({
    source: circuit,
    sinks: [stdout],
    onLine: (line) => {
      session.takeFromHost(line);
      stdout.write(line);
    },
  });
  await fromHost;
  // The host's side is done: there is nobody left to ask.
  circuit.end();
  const end = await circuit.closedBy;
  signal?.removeEventListener("abort", stop);
  const error = circuitError(circuit.service, end);
  const outcome = end.kind === "ended" ? "disconnected" : circuitOutcome(end);
  for (const line of session.close(outcome, error?.message ?? "The server ended the conversation.")) stdout.write(line);
  await flushed(stdout);
  stdin.destroy();
  return error === undefined || signal?.aborted === true ? { kind: "ended" } : { kind: "cut", end, error };
}

function refusalLine(id: string | number, error: ConnectorError): Buffer {
  const { refusal } = error;
  const code = refusal === undefined ? sallyportCode.unreachable : sallyportCode.refused;
  const { decisionId = "", ruleIds = [] } = refusal ?? {};
  const remedy = error.remedy === undefined ? "" : ` ${error.remedy}`;
  return errorLine(id, code, `Sallyport: ${error.message}${remedy}`, {
    code: refusal?.code ?? error.code,
    decisionId,
    ruleIds,
  });
}

function flushed(stdout: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (!stdout.writable) resolve();
    else stdout.write("", () => resolve());
  });
}
