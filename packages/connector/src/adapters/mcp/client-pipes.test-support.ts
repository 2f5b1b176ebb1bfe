import { PassThrough } from "node:stream";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { LineSplitter } from "./line-splitter.ts";

/** An MCP client's end of the pipes of `sallyport mcp`. */
export class ClientPipes implements Transport {
  readonly stdin: PassThrough = new PassThrough();
  readonly stdout: PassThrough = new PassThrough();
  /** Lines as they came. */
  readonly lines: string[] = [];
  onclose?: () => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #wake = new Set<() => void>();

  constructor() {
    const splitter = new LineSplitter((line) => {
      this.lines.push(line.toString());
      this.onmessage?.(JSON.parse(line.toString()));
      for (const wake of this.#wake) wake();
    });
    this.stdout.on("data", (chunk: Buffer) => splitter.push(chunk));
  }

  async start(): Promise<void> {
    // Listens from the beginning.
  }

  async send(message: object): Promise<void> {
    this.stdin.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.stdin.end();
    this.onclose?.();
  }

  /** Messages of that id or method, as many as came. */
  found(which: { readonly id: number } | { readonly method: string }): readonly unknown[] {
    const messages = this.lines.map((line): { id?: unknown; method?: unknown } => JSON.parse(line));
    return messages.filter(({ id, method }) =>
      "id" in which ? id === which.id && method === undefined : method === which.method,
    );
  }

  async answer(id: number): Promise<unknown> {
    return await this.first({ id });
  }

  async first(which: { readonly id: number } | { readonly method: string }): Promise<unknown> {
    for (;;) {
      const [found] = this.found(which);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.add(resolve));
    }
  }
}
