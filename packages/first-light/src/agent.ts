import { Client, ProtocolError } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { Sallyport } from "./sallyport.ts";

export interface ToolAnswer {
  /** The texts of the result, joined. */
  readonly text: string;
  readonly isError: boolean;
  /** `_meta` of the result. */
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly onProgress?: () => void;
  /** Default 15,000. */
  readonly timeoutMs?: number;
}

/** What an MCP client's configuration says of a server. */
export interface AgentServer {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The server that is reached through Sallyport: the command `sallyport mcp <service>`. */
export function throughSallyport(sallyport: Sallyport, profile: string, service: string): AgentServer {
  return {
    command: process.execPath,
    args: [sallyport.launcher, "mcp", service, "--profile", profile],
    env: sallyport.env,
  };
}

/** An agent: the official MCP client over stdio. */
export class Agent implements AsyncDisposable {
  readonly #client: Client;
  #lastDeliveryAt = 0;

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Rejects with AgentRefused when the command gives no MCP session. */
  static async connect({ command, args, env }: AgentServer): Promise<Agent> {
    const transport = new StdioClientTransport({ command, args: [...args], env: { ...env }, stderr: "pipe" });
    let stderr = "";
    transport.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const client = new Client({ name: "first-light", version: "0.1.0" });
    const agent = new Agent(client);
    try {
      await client.connect(transport, { timeout: 15_000 });
    } catch (cause) {
      await client.close();
      throw new AgentRefused(stderr.trim(), cause);
    }
    agent.#noteDeliveries(transport);
    return agent;
  }

  /** `performance.now()` when the transport last handed a message to the client. */
  get lastDeliveryAt(): number {
    return this.#lastDeliveryAt;
  }

  async tools(): Promise<readonly string[]> {
    const { tools } = await this.#client.listTools();
    return tools.map(({ name }) => name);
  }

  /** Rejects with the client's ProtocolError where the answer is a JSON-RPC error. */
  async call(name: string, args: Record<string, unknown>, options: CallOptions = {}): Promise<ToolAnswer> {
    const result = await this.#client.callTool(
      { name, arguments: args },
      {
        timeout: options.timeoutMs ?? 15_000,
        ...(options.onProgress === undefined ? {} : { onprogress: options.onProgress }),
      },
    );
    const texts = result.content.flatMap((part) => (part.type === "text" ? [part.text] : []));
    return { text: texts.join("\n"), isError: result.isError === true, meta: result._meta ?? {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  #noteDeliveries(transport: StdioClientTransport): void {
    const deliver = transport.onmessage;
    transport.onmessage = (message) => {
      this.#lastDeliveryAt = performance.now();
      deliver?.(message);
    };
  }
}

/** There is no MCP session: the server's command answered the first request with an error, or ended. */
export class AgentRefused extends Error {
  override readonly name = "AgentRefused";

  constructor(stderr: string, cause: unknown) {
    const answered = cause instanceof ProtocolError;
    super(answered || stderr === "" ? (cause instanceof Error ? cause.message : String(cause)) : stderr, { cause });
  }
}
