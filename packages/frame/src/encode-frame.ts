import { HEADER_BYTES, MAX_PAYLOAD_BYTES, setHeader, setU32 } from "./header.ts";
import { FrameType, PING_ACK } from "./frame-type.ts";

/** One frame in a buffer of its own; `payload` is copied. Throws RangeError above MAX_PAYLOAD_BYTES: that is a fault of the caller. */
export function encodeFrame(type: number, flags: number, streamId: number, payload?: Uint8Array): Buffer {
  const payloadBytes = payload === undefined ? 0 : payload.length;
  if (payloadBytes > MAX_PAYLOAD_BYTES)
    throw new RangeError(`A payload of ${payloadBytes} bytes does not fit one frame.`);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  setHeader(frame, 0, payloadBytes, type, flags, streamId);
  if (payload !== undefined) frame.set(payload, HEADER_BYTES);
  return frame;
}

export function encodeWindow(streamId: number, creditBytes: number): Buffer {
  return encodeU32Frame(FrameType.window, streamId, creditBytes);
}

export function encodeReset(streamId: number, wireCode: number): Buffer {
  return encodeU32Frame(FrameType.reset, streamId, wireCode);
}

export function encodeGoaway(wireCode: number): Buffer {
  return encodeU32Frame(FrameType.goaway, 0, wireCode);
}

/** @param opaque 8 bytes. */
export function encodePing(opaque: Uint8Array, answer: boolean): Buffer {
  return encodeFrame(FrameType.ping, answer ? PING_ACK : 0, 0, opaque);
}

/** Bytes that `payloadBytes` of DATA take on the wire. */
export function dataRunBytes(payloadBytes: number): number {
  return payloadBytes + Math.ceil(payloadBytes / MAX_PAYLOAD_BYTES) * HEADER_BYTES;
}

/** As `writeDataRun`, in a buffer of its own. */
export function encodeDataRun(
  streamId: number,
  pieces: readonly Uint8Array[],
  offset: number,
  payloadBytes: number,
): Buffer {
  const run = Buffer.allocUnsafe(dataRunBytes(payloadBytes));
  writeDataRun(run, streamId, pieces, offset, payloadBytes);
  return run;
}

/**
 * Writes the next `payloadBytes` of `pieces` to `run` as consecutive full DATA frames, the last one perhaps shorter: so that they leave in one write.
 * Takes from the first piece at `offset`; the pieces must hold at least `payloadBytes` from there on, and `run` dataRunBytes(payloadBytes).
 */
export function writeDataRun(
  run: Buffer,
  streamId: number,
  pieces: readonly Uint8Array[],
  offset: number,
  payloadBytes: number,
): void {
  let index = 0;
  let from = offset;
  let at = 0;
  for (let left = payloadBytes; left > 0;) {
    const framePayload = Math.min(left, MAX_PAYLOAD_BYTES);
    setHeader(run, at, framePayload, FrameType.data, 0, streamId);
    at += HEADER_BYTES;
    const frameEnd = at + framePayload;
    while (at < frameEnd) {
      const piece = pieces[index];
      if (piece === undefined) throw new RangeError("The pieces hold fewer bytes than the run.");
      const taken = Math.min(frameEnd - at, piece.length - from);
      run.set(taken === piece.length ? piece : piece.subarray(from, from + taken), at);
      at += taken;
      from += taken;
      if (from === piece.length) {
        index += 1;
        from = 0;
      }
    }
    left -= framePayload;
  }
}

function encodeU32Frame(type: number, streamId: number, value: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + 4);
  setHeader(frame, 0, 4, type, 0, streamId);
  setU32(frame, HEADER_BYTES, value);
  return frame;
}
