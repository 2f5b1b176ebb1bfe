/**
 * Joins a caller's circuit and a server's process for one conversation.
 *
 * The end, in this order, whoever begins it: no more requests go in, the process has a grace to answer what it still wants to, it is ended,
 * what it wrote goes out, the circuit ends. A circuit that is cut ends the process without a grace.
 */
import type { Duplex, Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { WireCode } from "@sallyport/frame";
import { circuitOutcome, type CircuitEnd } from "../../circuit/circuit-end.ts";
import { HostSession, type HostSessionOptions } from "./host-session.ts";
import { relayLines, type RelayEnd } from "./relay-lines.ts";

/** What a conversation needs of a circuit. */
export interface ConversationCircuit extends Duplex {
  readonly closedBy: Promise<CircuitEnd>;
  reset(code: number): void;
}

export interface ConversationProcess extends AsyncDisposable {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly ended: Promise<unknown>;
}

const graceMs = 2_000;

export async function converse(
  circuit: ConversationCircuit,
  child: ConversationProcess,
  options: Omit<HostSessionOptions, "toServer" | "toClient">,
): Promise<void> {
  const session = new HostSession({
    ...options,
    toServer: (line) => writeIfOpen(child.stdin, line),
    toClient: (line) => writeIfOpen(circuit, line),
  });
  const sinks = [child.stdin, circuit];
  const fromClient = relayLines({ source: circuit, sinks, onLine: (line) => session.takeFromClient(line) });
  const fromServer = relayLines({ source: child.stdout, sinks, onLine: (line) => session.takeFromServer(line) });
  const over = new AbortController();
  const grace = (): Promise<undefined> => delay(graceMs, undefined, { signal: over.signal }).catch(() => undefined);
  const resetIfTooLong = (end: RelayEnd): void => {
    if (end.kind === "line-too-long") circuit.reset(WireCode.limit);
  };
  const clientDone = fromClient.then((end) => {
    resetIfTooLong(end);
    child.stdin.end();
    return grace();
  });
  const serverDone = fromServer.then(async (end) => {
    resetIfTooLong(end);
    await child.ended;
    return undefined;
  });
  const cut = await Promise.race([circuit.closedBy, clientDone, serverDone]);
  await child[Symbol.asyncDispose]();
  await fromServer;
  session.close(cut === undefined || cut.kind === "ended" ? "disconnected" : circuitOutcome(cut));
  circuit.end();
  await Promise.race([circuit.closedBy, grace()]);
  over.abort();
  circuit.destroy();
}

function writeIfOpen(stream: Writable, line: Buffer): void {
  if (stream.writable) stream.write(line);
}
