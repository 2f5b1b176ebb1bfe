import { FrameError, FrameType, HEADER_BYTES, flagsAt, u32At } from "@sallyport/frame";
import type { Leg } from "./leg.ts";
import type { Relayed } from "./splice.ts";

/**
 * What the splice means, said plainly: decode, judge, encode anew, one write per frame, every byte copied.
 * The oracle of the splice's test, and the other side of its bench.
 */
export class NaiveSplice {
  relay(leg: Leg, type: number, chunk: Buffer, start: number, end: number): Relayed {
    const payload = Buffer.from(chunk.subarray(start + HEADER_BYTES, end));
    if (type === FrameType.data) {
      if (leg.finished) throw new FrameError("STREAM_STATE_INVALID", "DATA after FIN.");
      leg.credit.spend(payload.length);
      leg.bytes += payload.length;
    } else if (type === FrameType.window) {
      leg.peer.credit.grant(u32At(payload, 0));
    } else if (type === FrameType.fin) {
      if (leg.finished) throw new FrameError("STREAM_STATE_INVALID", "FIN after FIN.");
      leg.finished = true;
    } else if (type !== FrameType.reset) {
      throw new FrameError("STREAM_STATE_INVALID", `A frame of type ${type} on a stream that is open.`);
    }
    leg.peer.outlet.writeFrame(type, flagsAt(chunk, start), leg.peer.streamId, payload);
    leg.peer.outlet.flush();
    if (type === FrameType.reset) return "reset";
    return leg.finished && leg.peer.finished ? "ended" : "open";
  }
}
