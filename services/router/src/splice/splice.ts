/**
 * The splice: frames of circuits pass from one tunnel to another in the buffer in which they arrived.
 *
 * Why in place: a router's work per byte is TLS in and TLS out. Anything else that touches payload (a copy, a concatenation, an object per frame)
 * shows up beside them. So the stream id, always at the same offset, is overwritten in the received buffer, and the same bytes are queued at the other
 * tunnel: one `subarray` per run of frames with one destination, nothing per frame.
 *
 *   1. Only whole frames leave. A frame whose rest has not arrived is not in this buffer yet (FrameChannel keeps it), so a peer that sends half
 *      a frame and stops blocks nobody's tunnel but its own.
 *   2. A receiver's credit is the only permission to send. It passes through untouched and is counted here, because the queue of a tunnel is shared:
 *      a sender without credit would fill it for everyone.
 *   3. The order of frames within a stream is the order of arrival: whoever writes another frame to a destination settles the run first.
 *   4. A buffer belongs to its channel during the batch only, except for what was forwarded; nothing here remembers it after `endBatch`.
 */
import { FrameError, FrameType, HEADER_BYTES, patchStreamId, u32At } from "@sallyport/frame";
import { RelayCounters } from "@sallyport/tunnel";
import type { Leg, Outlet } from "./leg.ts";

/** What a frame meant for its stream. */
export type Relayed =
  | "open"
  /** Both directions have now ended by FIN. */
  | "ended"
  /** The stream is over on both sides, by RESET. */
  | "reset";

const noBytes: Buffer = Buffer.alloc(0);

/** The splice of what arrives on one tunnel. */
export class Splice {
  #runOutlet: Outlet | null = null;
  #runChunk: Buffer = noBytes;
  #runStart = 0;
  #runEnd = 0;
  readonly #touched = new Set<Outlet>();
  readonly counters: RelayCounters;

  constructor(counters: RelayCounters = new RelayCounters()) {
    this.counters = counters;
  }

  /**
   * Takes the frame at `start` (header included) up to `end` in `chunk`, which arrived on `leg`.
   * Throws FrameError for a frame that its sender had no right to send; the tunnel that it came from ends by that, and nothing of it was relayed.
   */
  relay(leg: Leg, type: number, chunk: Buffer, start: number, end: number): Relayed {
    const relayed = this.#account(leg, type, chunk, start, end);
    const peer = leg.peer;
    this.counters.framesForwarded += 1;
    patchStreamId(chunk, start, peer.streamId);
    if (this.#runOutlet === peer.outlet && this.#runChunk === chunk && this.#runEnd === start) {
      this.#runEnd = end;
    } else {
      this.settle();
      this.#runOutlet = peer.outlet;
      this.#runChunk = chunk;
      this.#runStart = start;
      this.#runEnd = end;
    }
    return relayed;
  }

  /** Queues the run at its destination. */
  settle(): void {
    const outlet = this.#runOutlet;
    if (outlet === null) return;
    outlet.forward(this.#runChunk.subarray(this.#runStart, this.#runEnd));
    this.#touched.add(outlet);
    this.#runOutlet = null;
    this.#runChunk = noBytes;
  }

  /** Everything of this batch leaves, each destination in one write. */
  endBatch(): void {
    this.settle();
    for (const outlet of this.#touched) outlet.flush();
    this.#touched.clear();
  }

  #account(leg: Leg, type: number, chunk: Buffer, start: number, end: number): Relayed {
    switch (type) {
      case FrameType.data: {
        if (leg.finished) throw new FrameError("STREAM_STATE_INVALID", "DATA after FIN.");
        const payloadBytes = end - start - HEADER_BYTES;
        leg.credit.spend(payloadBytes);
        leg.bytes += payloadBytes;
        this.counters.bytesForwarded += payloadBytes;
        return "open";
      }
      case FrameType.window:
        leg.peer.credit.grant(u32At(chunk, start + HEADER_BYTES));
        return "open";
      case FrameType.fin:
        if (leg.finished) throw new FrameError("STREAM_STATE_INVALID", "FIN after FIN.");
        leg.finished = true;
        return leg.peer.finished ? "ended" : "open";
      case FrameType.reset:
        return "reset";
      default:
        throw new FrameError("STREAM_STATE_INVALID", `A frame of type ${type} on a stream that is open.`);
    }
  }
}
