/**
 * The 8-byte header as a view: functions over a buffer and the offset at which a header starts (spec.md, section 2).
 * Shifts and masks stay inside this file. `chunk[i] ?? 0` satisfies the compiler for offsets that the caller has bounded.
 */

/** u16 payload length, u8 type, u8 flags, u32 stream id, big-endian. */
export const HEADER_BYTES = 8;

/** Header and payload fit one TLS record (RFC 8446, section 5.1: 2^14 bytes). */
export const MAX_FRAME_BYTES = 16_384;

export const MAX_PAYLOAD_BYTES: number = MAX_FRAME_BYTES - HEADER_BYTES;

/** Ids only grow; the last one a side may use. */
export const MAX_STREAM_ID = 0xffff_ffff;

export function payloadBytesAt(chunk: Uint8Array, start: number): number {
  return ((chunk[start] ?? 0) << 8) | (chunk[start + 1] ?? 0);
}

export function typeAt(chunk: Uint8Array, start: number): number {
  return chunk[start + 2] ?? 0;
}

export function flagsAt(chunk: Uint8Array, start: number): number {
  return chunk[start + 3] ?? 0;
}

/** A big-endian u32 anywhere, such as the stream id at `start + 4` or the payload of WINDOW, RESET and GOAWAY. */
export function u32At(chunk: Uint8Array, at: number): number {
  // `>>> 0` makes the signed result of the shifts an unsigned one.
  return (
    (((chunk[at] ?? 0) << 24) | ((chunk[at + 1] ?? 0) << 16) | ((chunk[at + 2] ?? 0) << 8) | (chunk[at + 3] ?? 0)) >>> 0
  );
}

export function streamIdAt(chunk: Uint8Array, start: number): number {
  return u32At(chunk, start + 4);
}

export function setU32(chunk: Uint8Array, at: number, value: number): void {
  chunk[at] = value >>> 24;
  chunk[at + 1] = value >>> 16;
  chunk[at + 2] = value >>> 8;
  chunk[at + 3] = value;
}

/** The splice: the same bytes, for a stream of another tunnel. */
export function patchStreamId(chunk: Uint8Array, start: number, streamId: number): void {
  setU32(chunk, start + 4, streamId);
}

export function setHeader(
  chunk: Uint8Array,
  start: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  chunk[start] = payloadBytes >>> 8;
  chunk[start + 1] = payloadBytes;
  chunk[start + 2] = type;
  chunk[start + 3] = flags;
  setU32(chunk, start + 4, streamId);
}
