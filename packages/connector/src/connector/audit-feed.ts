import { Block, type SignedBlock } from "@sallyport/proto/audit";
import { AuditAck, AuditPublish } from "@sallyport/proto/tunnel";
import { readMessage, TunnelError, writeMessage, type Tunnel, type TunnelStream } from "@sallyport/tunnel";
import { openBuiltIn } from "./built-in-stream.ts";
import type { OpenTunnel } from "./tunnel-keeper.ts";

/** Delivers audit blocks over the built-in stream `sallyport.audit` of the present tunnel, one at a time. */
export class AuditFeed {
  readonly #current: (signal: AbortSignal) => Promise<OpenTunnel>;
  #open: { readonly tunnel: Tunnel; readonly stream: TunnelStream } | undefined;

  constructor(current: (signal: AbortSignal) => Promise<OpenTunnel>) {
    this.#current = current;
  }

  /** Resolves when JetStream has the block, or nobody ever will. A throw means "not now". */
  async publish(block: SignedBlock, signal: AbortSignal): Promise<"stored" | "invalid"> {
    const { epoch, number } = Block.decode(block.block);
    const stream = await this.#stream(signal);
    try {
      await writeMessage(stream, AuditPublish, { block });
      for (;;) {
        const ack = await readMessage(stream, AuditAck, { signal });
        if (ack === null) throw new TunnelError("TUNNEL_ENDED", "The audit stream ended before the acknowledgement.");
        if (ack.epoch === epoch && ack.number === number) return verdict(ack);
      }
    } catch (error) {
      this.#drop(stream);
      throw error;
    }
  }

  /** Lets go of the stream, so that a tunnel that drains can end. */
  release(): void {
    if (this.#open !== undefined) this.#drop(this.#open.stream);
  }

  async #stream(signal: AbortSignal): Promise<TunnelStream> {
    const { tunnel } = await this.#current(signal);
    if (this.#open?.tunnel === tunnel && !this.#open.stream.destroyed) return this.#open.stream;
    this.release();
    const stream = await openBuiltIn(tunnel, "sallyport.audit", signal);
    this.#open = { tunnel, stream };
    return stream;
  }

  #drop(stream: TunnelStream): void {
    if (this.#open?.stream === stream) this.#open = undefined;
    stream.destroy();
  }
}

function verdict(ack: AuditAck): "stored" | "invalid" {
  if (ack.errorCode === "") return "stored";
  if (ack.errorCode === "BLOCK_INVALID") return "invalid";
  throw new Error(`The router could not store the block: ${ack.errorCode}.`);
}
