import { Block, type SignedBlock } from "@sallyport/proto/audit";
import { AuditAck, AuditPublish } from "@sallyport/proto/tunnel";
import { readMessage, TunnelError, writeMessage, type TunnelStream } from "@sallyport/tunnel";
import { openBuiltIn } from "./built-in-stream.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

/** For a router's acknowledgement, while another one could be asked. */
const patienceMs = 5_000;

/**
 * Delivers audit blocks over the built-in stream `sallyport.audit` of one tunnel, one at a time, and over the other when that fails. A block
 * that arrives over both is stored once: its epoch and number name it.
 */
export class AuditFeed {
  readonly #usable: (signal: AbortSignal) => Promise<readonly OpenTunnel[]>;
  #open: { readonly over: OpenTunnel; readonly stream: TunnelStream } | undefined;

  /** @param usable waits for a tunnel; the best first */
  constructor(usable: (signal: AbortSignal) => Promise<readonly OpenTunnel[]>) {
    this.#usable = usable;
  }

  /** Resolves when JetStream has the block, or nobody ever will. A throw means "not now". */
  async publish(block: SignedBlock, signal: AbortSignal): Promise<"stored" | "invalid"> {
    const usable = await this.#usable(signal);
    const present = this.#open?.over;
    const inTurn = usable.toSorted((one, other) => Number(other === present) - Number(one === present));
    let failure: unknown;
    for (const [index, over] of inTurn.entries()) {
      const isLast = index === inTurn.length - 1;
      try {
        const patience = isLast ? signal : AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
        return await this.#publishOver(over, block, patience);
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    throw failure;
  }

  /** Lets go of the stream, so that a tunnel that drains can end. */
  release(over: OpenTunnel): void {
    if (this.#open?.over === over) this.#drop(this.#open.stream);
  }

  [Symbol.dispose](): void {
    if (this.#open !== undefined) this.#drop(this.#open.stream);
  }

  async #publishOver(over: OpenTunnel, block: SignedBlock, signal: AbortSignal): Promise<"stored" | "invalid"> {
    const { epoch, number } = Block.decode(block.block);
    const stream = await this.#stream(over, signal);
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

  async #stream(over: OpenTunnel, signal: AbortSignal): Promise<TunnelStream> {
    if (this.#open?.over === over && !this.#open.stream.destroyed) return this.#open.stream;
    this[Symbol.dispose]();
    const stream = await openBuiltIn(over.tunnel, "sallyport.audit", signal);
    this.#open = { over, stream };
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
