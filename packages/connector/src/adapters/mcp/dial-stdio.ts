/**
 * The command of an MCP client's configuration: MCP over stdio here, a circuit to a dark server there.
 *
 * 1. Every request gets an answer. When the dial is refused, or the circuit is cut, that answer is a JSON-RPC error that says why and carries
 *    the decision's id, since an MCP client shows errors to its user, and exit codes to nobody.
 * 2. Bytes go through unchanged in both directions.
 * 3. A circuit whose path broke is dialed again under the conversation (stdio-conversation.ts).
 */
import type { Readable, Writable } from "node:stream";
import type { CircuitEnd } from "../../circuit/circuit-end.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import type { Connector } from "../../connector/connector.ts";
import { ConnectorError } from "../../errors.ts";
import { refusalLine } from "./answers.ts";
import { parseMessage } from "./message.ts";
import { relayLines } from "./relay-lines.ts";
import { StdioConversation } from "./stdio-conversation.ts";

export interface DialStdioOptions {
  readonly connector: Connector;
  readonly service: string;
  readonly stdin: Readable;
  readonly stdout: Writable;
  /** For how long a cut circuit is dialed again before the conversation ends. Default 30,000. */
  readonly redialForMs?: number;
  readonly signal?: AbortSignal;
}

export type DialStdioEnd =
  /** The client or the server ended the conversation. */
  | { readonly kind: "ended" }
  /** There was never a circuit. The first request was answered with the reason. */
  | { readonly kind: "refused"; readonly error: ConnectorError }
  /** The circuit was cut while it ran, and there is no other for the conversation. What waited was answered with the reason. */
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
  return await new StdioConversation(options).run(circuit);
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
