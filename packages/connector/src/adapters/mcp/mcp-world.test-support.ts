import { fileURLToPath } from "node:url";
import type { EventInput } from "@sallyport/audit-log";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { circuitWorld, type CircuitWorld } from "../../circuit/circuit-world.test-support.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { chooseConfinement } from "../../confine/choose-confinement.ts";
import { ConfinedProcess } from "../../confine/confined-process.ts";
import { reachRules } from "../../test-policy.test-support.ts";
import { converse } from "./converse.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { MessageFault } from "./message.ts";

/** Of @modelcontextprotocol/server-everything, as a plain Node script on stdio. */
export const everythingServer: string = fileURLToPath(
  new URL("dist/index.js", import.meta.resolve("@modelcontextprotocol/server-everything/package.json")),
);

export const toolRules: string = `
@id("echo") permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"files/echo");
@id("slow-echo") permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"files/trigger-long-running-operation");
@id("small-sums") @reason("both numbers at most 100")
permit (principal == Sallyport::Workload::"agent", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"files/get-sum")
when { context.numbers.hasTag("a") && context.numbers.getTag("a") <= 100 && context.numbers.hasTag("b") && context.numbers.getTag("b") <= 100 };
@id("no-environment") @reason("the environment holds secrets")
forbid (principal, action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"files/get-env");
`;

/** A real MCP server behind a real circuit, and every line that crossed it. */
export interface McpWorld extends AsyncDisposable {
  readonly circuits: CircuitWorld;
  readonly circuit: Circuit;
  readonly transport: CircuitTransport;
  readonly process: ConfinedProcess;
  /** Lines as the caller sent and received them, and as the server did. */
  readonly lines: { readonly toServer: Buffer[]; readonly fromServer: Buffer[] };
  readonly events: EventInput[];
  readonly noise: MessageFault[];
  readonly conversation: Promise<void>;
}

export async function mcpWorld(
  script: string = everythingServer,
  args: readonly string[] = ["stdio"],
): Promise<McpWorld> {
  const circuits = await circuitWorld();
  circuits.policy.apply(reachRules + toolRules);
  const policy = circuits.policy.state();
  const attempt = circuits.connect();
  const [circuit, hostEnd] = await Promise.all([attempt.dialer, attempt.host]);
  const needs = {
    service: "files",
    command: process.execPath,
    args: [script, ...args],
    workingFolder: "/",
    network: "host",
    secret: [],
    writable: [],
  } as const;
  const child = await ConfinedProcess.start({
    ...needs,
    confinement: await chooseConfinement(needs),
    env: {},
    onStderr: () => undefined,
    graceMs: 300,
  });
  const events: EventInput[] = [];
  const noise: MessageFault[] = [];
  const lines = { toServer: tap(child.stdin), fromServer: collect(child.stdout) };
  const conversation = converse(hostEnd, child, {
    decideCall: (tool, args_) => policy.decideCall(hostEnd.peer, "files", tool, args_),
    visibleTools: (names) => policy.visibleTools(hostEnd.peer, "files", names),
    record: (event) => events.push(event),
    onNoise: (fault) => noise.push(fault),
  });
  return {
    circuits,
    circuit,
    transport: new CircuitTransport(circuit),
    process: child,
    lines,
    events,
    noise,
    conversation,
    [Symbol.asyncDispose]: async () => {
      circuit.destroy();
      await conversation;
    },
  };
}

/** The official client's transport over a circuit: stdio framing. */
export class CircuitTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly received: Buffer[] = [];
  readonly #circuit: Circuit;
  readonly #waiting = new Set<() => void>();

  constructor(circuit: Circuit) {
    this.#circuit = circuit;
  }

  async start(): Promise<void> {
    const splitter = new LineSplitter((line) => {
      this.received.push(line);
      this.onmessage?.(JSON.parse(line.toString()));
      for (const wake of this.#waiting) wake();
    });
    this.#circuit.on("data", (chunk: Buffer) => splitter.push(chunk));
    this.#circuit.on("error", (error) => this.onerror?.(error));
    this.#circuit.once("close", () => this.onclose?.());
  }

  async send(message: JSONRPCMessage): Promise<void> {
    this.#circuit.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.#circuit.end();
  }

  /** Sends a line as it is; resolves with the first later line that `isAnswer` takes. */
  async sendRaw(line: string | Buffer, isAnswer: (line: string) => boolean): Promise<string> {
    const from = this.received.length;
    this.#circuit.write(line);
    for (;;) {
      const answer = this.received.slice(from).find((received) => isAnswer(received.toString()));
      if (answer !== undefined) return answer.toString();
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }
}

function collect(stream: NodeJS.ReadableStream): Buffer[] {
  const lines: Buffer[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  stream.on("data", (chunk: Buffer) => splitter.push(chunk));
  return lines;
}

function tap(stream: NodeJS.WritableStream): Buffer[] {
  const lines: Buffer[] = [];
  const write = stream.write.bind(stream);
  // Seen where the server would see it: behind everything that the adapter does.
  stream.write = ((chunk: Buffer, ...rest: []) => {
    lines.push(chunk);
    return write(chunk, ...rest);
  }) as typeof stream.write;
  return lines;
}
