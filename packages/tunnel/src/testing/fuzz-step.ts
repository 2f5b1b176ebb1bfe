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

/** One thing that a peer sends which says what comes to its mind: `kind` below `fuzzKinds`, the rest as that kind takes it. */
export interface FuzzStep {
  readonly kind: number;
  readonly streamId: number;
  readonly size: number;
  readonly text: string;
}

type Send = (step: FuzzStep) => Buffer;

/** Frames that are right somewhere. */
const rightKinds: readonly Send[] = [
  ({ streamId, text }) => encodeFrame(FrameType.open, 0, streamId, openOf(text)),
  ({ streamId, text }) => encodeFrame(FrameType.open, 0, streamId, openOf(text)),
  ({ streamId }) => encodeFrame(FrameType.accept, 0, streamId, StreamAccept.encode(StreamAccept.create()).finish()),
  ({ streamId }) => encodeFrame(FrameType.refuse, 0, streamId),
  ({ streamId, size }) => encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(size)),
  ({ streamId, size }) => encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(size)),
  ({ streamId, size }) => encodeWindow(streamId, size),
  ({ streamId }) => encodeFrame(FrameType.fin, 0, streamId),
  ({ streamId, size }) => encodeReset(streamId, size % 20),
  () => encodePing(Buffer.alloc(8), false),
  ({ text }) => encodeFrame(FrameType.control, 0, 0, announceOf(text)),
];

/** Frames, and bytes, that hardly ever are. */
const wrongKinds: readonly Send[] = [
  () => encodeGoaway(0),
  ({ size, streamId, text }) => header(size, text.length, streamId % 3, streamId),
  ({ streamId, text }) => encodeFrame(FrameType.open, 0, streamId, Buffer.from(text)),
  ({ text }) => Buffer.from(text),
  ({ size, text }) => Buffer.alloc(size % 64, text),
];

export const rightFuzzKinds: number = rightKinds.length;
export const fuzzKinds: number = rightKinds.length + wrongKinds.length;

/** The bytes of a step. */
export function fuzzBytes(step: FuzzStep): Buffer {
  const send = [...rightKinds, ...wrongKinds][step.kind];
  return send === undefined ? Buffer.alloc(0) : send(step);
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
