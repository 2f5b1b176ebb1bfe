import {
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_CREDIT_BYTES,
  MAX_PAYLOAD_BYTES,
  WireCode,
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeWindow,
  setHeader,
} from "@sallyport/frame";
import { headerViolations } from "./header-violations.ts";
import type { ScriptedPeer } from "./scripted-peer.ts";

/** Something that a workload's end may never do. Before `act` the peer said hello; the other side accepts streams of service `accepted` and leaves others unanswered. */
export interface Violation {
  readonly title: string;
  readonly act: (peer: ScriptedPeer) => void | Promise<void>;
  /** What GOAWAY must say. */
  readonly wireCode: number;
  /** The peer speaks before its hello. */
  readonly silentStart?: true;
  /** It opens streams of the services `accepted` and `unanswered`. */
  readonly usesServices?: true;
}

const data = (streamId: number, bytes: number): Buffer => encodeFrame(FrameType.data, 0, streamId, Buffer.alloc(bytes));

async function openAccepted(peer: ScriptedPeer, streamId: number): Promise<void> {
  peer.sendOpen(streamId, "accepted");
  await peer.next(FrameType.accept);
}

function oversized(): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  setHeader(header, 0, MAX_PAYLOAD_BYTES + 1, FrameType.data, 0, 1);
  return header;
}

/** A field of 127 bytes, of which none is there. */
const notProtobuf = Buffer.from([0x0a, 0x7f]);

export const violations: readonly Violation[] = [
  {
    title: "a frame before the hello",
    silentStart: true,
    act: (peer) => void peer.sendOpen(1, "accepted").sendHello(),
    wireCode: WireCode.protocol,
  },
  {
    title: "a control message before the hello",
    silentStart: true,
    act: (peer) => void peer.send(encodeFrame(FrameType.control, 0, 0)).sendHello(),
    wireCode: WireCode.protocol,
  },
  {
    title: "a hello of another version",
    silentStart: true,
    act: (peer) => void peer.sendHello({ protocolVersion: 2 }),
    wireCode: WireCode.version,
  },
  {
    title: "a hello with another window",
    silentStart: true,
    act: (peer) => void peer.sendHello({ initialWindowBytes: 1 }),
    wireCode: WireCode.protocol,
  },
  {
    title: "a hello with a long software name",
    silentStart: true,
    act: (peer) => void peer.sendHello({ software: "x".repeat(65) }),
    wireCode: WireCode.protocol,
  },
  {
    title: "a hello with a long router id",
    silentStart: true,
    act: (peer) => void peer.sendHello({ routerId: "x".repeat(2049) }),
    wireCode: WireCode.protocol,
  },
  {
    title: "GOAWAY of a drain before the hello",
    silentStart: true,
    act: (peer) => void peer.send(encodeGoaway(WireCode.none)).sendHello(),
    wireCode: WireCode.protocol,
  },
  { title: "a second hello", act: (peer) => void peer.sendHello(), wireCode: WireCode.protocol },
  { title: "an unknown type", act: (peer) => void peer.send(encodeFrame(10, 0, 1)), wireCode: WireCode.protocol },
  {
    title: "a frame larger than a record, known by its header",
    act: (peer) => void peer.send(oversized()),
    wireCode: WireCode.protocol,
  },
  {
    title: "a control message that does not decode",
    act: (peer) => void peer.send(encodeFrame(FrameType.control, 0, 0, notProtobuf)),
    wireCode: WireCode.protocol,
  },
  {
    title: "an OPEN that does not decode",
    act: (peer) => void peer.send(encodeFrame(FrameType.open, 0, 1, notProtobuf)),
    wireCode: WireCode.protocol,
  },
  {
    title: "OPEN with an id of the other side",
    act: (peer) => void peer.sendOpen(2, "accepted"),
    wireCode: WireCode.protocol,
  },
  {
    title: "OPEN with an id used before",
    act: (peer) => void peer.sendOpen(3, "x").sendOpen(3, "x"),
    wireCode: WireCode.protocol,
  },
  {
    title: "OPEN with an id below one used before",
    act: (peer) => void peer.sendOpen(5, "x").sendOpen(3, "x"),
    wireCode: WireCode.protocol,
  },
  {
    title: "DATA for a stream that was never opened",
    act: (peer) => void peer.send(data(1, 1)),
    wireCode: WireCode.protocol,
  },
  {
    title: "DATA for an id that only the other side could have opened",
    act: (peer) => void peer.send(data(2, 1)),
    wireCode: WireCode.protocol,
  },
  {
    title: "RESET for a stream that was never opened",
    act: (peer) => void peer.send(encodeReset(9, 5)),
    wireCode: WireCode.protocol,
  },
  {
    title: "DATA before ACCEPT",
    usesServices: true,
    act: (peer) => void peer.sendOpen(1, "unanswered").send(data(1, 1)),
    wireCode: WireCode.protocol,
  },
  {
    title: "WINDOW before ACCEPT",
    usesServices: true,
    act: (peer) => void peer.sendOpen(1, "unanswered").send(encodeWindow(1, 1)),
    wireCode: WireCode.protocol,
  },
  {
    title: "ACCEPT for a stream of its own",
    usesServices: true,
    act: (peer) => void peer.sendOpen(1, "unanswered").send(encodeFrame(FrameType.accept, 0, 1)),
    wireCode: WireCode.protocol,
  },
  {
    title: "ACCEPT for an open stream",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeFrame(FrameType.accept, 0, 1));
    },
    wireCode: WireCode.protocol,
  },
  {
    title: "DATA after FIN",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeFrame(FrameType.fin, 0, 1), data(1, 1));
    },
    wireCode: WireCode.protocol,
  },
  {
    title: "FIN twice",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeFrame(FrameType.fin, 0, 1), encodeFrame(FrameType.fin, 0, 1));
    },
    wireCode: WireCode.protocol,
  },
  {
    title: "DATA beyond the credit",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      const full = Math.floor(INITIAL_WINDOW_BYTES / MAX_PAYLOAD_BYTES);
      for (let sent = 0; sent < full; sent += 1) peer.send(data(1, MAX_PAYLOAD_BYTES));
      peer.send(data(1, INITIAL_WINDOW_BYTES - full * MAX_PAYLOAD_BYTES), data(1, 1));
    },
    wireCode: WireCode.flowControl,
  },
  {
    title: "a WINDOW of nothing",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeWindow(1, 0));
    },
    wireCode: WireCode.flowControl,
  },
  {
    title: "a WINDOW that overflows",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeWindow(1, 0xffff_ffff));
    },
    wireCode: WireCode.flowControl,
  },
  {
    title: "a WINDOW that overflows together with those before it",
    usesServices: true,
    act: async (peer) => {
      await openAccepted(peer, 1);
      peer.send(encodeWindow(1, MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES), encodeWindow(1, 1));
    },
    wireCode: WireCode.flowControl,
  },
  {
    title: "a flood of OPEN and RESET",
    usesServices: true,
    act: (peer) => {
      for (let id = 1; id < 20_000; id += 2) peer.sendOpen(id, "unanswered").send(encodeReset(id, WireCode.cancelled));
    },
    wireCode: WireCode.limit,
  },
  {
    title: "a flood of CONTROL",
    act: (peer) => {
      for (let sent = 0; sent < 10_000; sent += 1) peer.send(encodeFrame(FrameType.control, 0, 0));
    },
    wireCode: WireCode.limit,
  },
  {
    title: "a flood of PING",
    act: (peer) => {
      for (let sent = 0; sent < 1000; sent += 1) peer.send(encodePing(Buffer.alloc(8), false));
    },
    wireCode: WireCode.limit,
  },
  {
    title: "a flood of answers to PINGs that nobody sent",
    act: (peer) => {
      for (let sent = 0; sent < 1000; sent += 1) peer.send(encodePing(Buffer.alloc(8), true));
    },
    wireCode: WireCode.limit,
  },
  {
    title: "a flood of GOAWAY",
    act: (peer) => {
      for (let sent = 0; sent < 100; sent += 1) peer.send(encodeGoaway(WireCode.none));
    },
    wireCode: WireCode.limit,
  },
  ...headerViolations,
];

/** What may never come in answer to an OPEN: the other side opened `streamId`, and waits. */
export interface AnswerViolation {
  readonly title: string;
  readonly answer: (streamId: number) => Buffer;
}

/** Each ends the tunnel with code `protocol`. */
export const answerViolations: readonly AnswerViolation[] = [
  { title: "an ACCEPT that does not decode", answer: (id) => encodeFrame(FrameType.accept, 0, id, notProtobuf) },
  { title: "a REFUSE that does not decode", answer: (id) => encodeFrame(FrameType.refuse, 0, id, notProtobuf) },
];
