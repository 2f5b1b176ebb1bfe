import { Duplex } from "node:stream";
import { WireCode } from "@sallyport/frame";
import { TunnelError } from "@sallyport/tunnel";
import type { CircuitCarrier } from "./circuit.ts";

/** Two ends of a stream in memory, as a router joins them: with its reset, and able to be cut. */
export interface CarrierPair {
  readonly dialer: MemoryCarrier;
  readonly host: MemoryCarrier;
  /** Ends both as if every byte had been sent: what a router can always pretend. */
  cut(): void;
  /** Resets both, as a router that enforces a change. */
  reset(code: number): void;
}

class MemoryCarrier extends Duplex implements CircuitCarrier {
  peer: MemoryCarrier | undefined;
  #code: number = WireCode.cancelled;
  #resume: (() => void) | undefined;
  #heldUp: Buffer[] | undefined;

  /** What arrives from now on waits, and arrives as one piece when the answer is called. */
  holdUp(): () => void {
    const heldUp: Buffer[] = [];
    this.#heldUp = heldUp;
    return () => {
      this.#heldUp = undefined;
      this.push(Buffer.concat(heldUp));
    };
  }

  reset(code: number): void {
    this.#code = code;
    this.destroy();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // As a stream of the tunnel: destroyed before its end, it is reset at the other end.
    this.peer?.destroy(new TunnelError("STREAM_RESET", "reset", { wireCode: this.#code }));
    done(error);
  }

  override _read(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.peer?.receive(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.peer?.push(null);
    done();
  }

  receive(chunk: Buffer, done: () => void): void {
    if (this.#heldUp !== undefined) {
      this.#heldUp.push(chunk);
      setImmediate(done);
    } else if (this.push(chunk)) setImmediate(done);
    else this.#resume = done;
  }
}

export function carrierPair(): CarrierPair {
  const dialer = new MemoryCarrier();
  const host = new MemoryCarrier();
  dialer.peer = host;
  host.peer = dialer;
  return {
    dialer,
    host,
    cut: () => {
      dialer.push(null);
      host.push(null);
    },
    reset: (code) => {
      for (const end of [dialer, host]) end.destroy(new TunnelError("STREAM_RESET", "reset", { wireCode: code }));
    },
  };
}
