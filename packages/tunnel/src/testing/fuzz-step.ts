import {
  FrameType,
  HEADER_BYTES,
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeWindow,
  setHeader,
} from "@sallyport/frame";
import { Control, HostAnnounce, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";

export type FuzzKind =
  | "open"
  | "accept"
  | "refuse"
  | "data"
  | "window"
  | "fin"
  | "reset"
  | "ping"
  | "control"
  | "drain"
  | "header"
  | "not protobuf"
  | "bytes";

/** One thing that a peer sends which says what comes to its mind. Each kind takes of the rest what it needs. */
export interface FuzzStep {
  readonly kind: FuzzKind;
  readonly streamId: number;
  readonly size: number;
  readonly text: string;
}

/** The bytes of a step. */
export function fuzzBytes({ kind, streamId, size, text }: FuzzStep): Buffer {
  switch (kind) {
    case "open":
      return encodeFrame(FrameType.open, 0, streamId, openOf(text));
    case "accept":
      return encodeFrame(FrameType.accept, 0, streamId, StreamAccept.encode(StreamAccept.create()).finish());
    case "refuse":
      return encodeFrame(FrameType.refuse, 0, streamId);
    case "data":
      return encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(size));
    case "window":
      return encodeWindow(streamId, size);
    case "fin":
      return encodeFrame(FrameType.fin, 0, streamId);
    case "reset":
      return encodeReset(streamId, size % 20);
    case "ping":
      return encodePing(Buffer.alloc(8), size % 2 === 0);
    case "control":
      return encodeFrame(FrameType.control, 0, 0, announceOf(text));
    case "drain":
      return encodeGoaway(0);
    case "header":
      return header(size, text.length, streamId % 3, streamId);
    case "not protobuf":
      return encodeFrame(FrameType.open, 0, streamId, Buffer.from(text));
    case "bytes":
      return Buffer.alloc(size % 64, text);
  }
}

function openOf(service: string): Uint8Array {
  return StreamOpen.encode(StreamOpen.create({ service, circuitNonce: Buffer.alloc(16, 1) })).finish();
}

function announceOf(service: string): Uint8Array {
  const value = HostAnnounce.create({ service });
  return Control.encode({ message: { $case: "hostAnnounce", value } }).finish();
}

function header(payloadBytes: number, type: number, flags: number, streamId: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  setHeader(bytes, 0, payloadBytes % 65_536, type % 256, flags, streamId);
  return bytes;
}
