import {
  FrameType,
  HEADER_BYTES,
  MAX_OPENING_PAYLOAD_BYTES,
  MAX_PAYLOAD_BYTES,
  PING_ACK,
  WireCode,
  setHeader,
} from "@sallyport/frame";
import type { Violation } from "./violations.ts";

interface HeaderRule {
  readonly name: string;
  readonly type: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** 0 for a frame of the tunnel, 1 for one of a stream. */
  readonly streamId: 0 | 1;
  readonly flags: number;
}

const { data, open, accept, refuse, window, fin, reset, ping, goaway, control } = FrameType;

/** The table of spec.md, section 3, once more: a test must not ask the code that it tests. */
const rules: readonly HeaderRule[] = [
  { name: "DATA", type: data, minBytes: 1, maxBytes: MAX_PAYLOAD_BYTES, streamId: 1, flags: 0 },
  { name: "OPEN", type: open, minBytes: 0, maxBytes: MAX_OPENING_PAYLOAD_BYTES, streamId: 1, flags: 0 },
  { name: "ACCEPT", type: accept, minBytes: 0, maxBytes: MAX_OPENING_PAYLOAD_BYTES, streamId: 1, flags: 0 },
  { name: "REFUSE", type: refuse, minBytes: 0, maxBytes: MAX_OPENING_PAYLOAD_BYTES, streamId: 1, flags: 0 },
  { name: "WINDOW", type: window, minBytes: 4, maxBytes: 4, streamId: 1, flags: 0 },
  { name: "FIN", type: fin, minBytes: 0, maxBytes: 0, streamId: 1, flags: 0 },
  { name: "RESET", type: reset, minBytes: 4, maxBytes: 4, streamId: 1, flags: 0 },
  { name: "PING", type: ping, minBytes: 8, maxBytes: 8, streamId: 0, flags: PING_ACK },
  { name: "GOAWAY", type: goaway, minBytes: 4, maxBytes: 4, streamId: 0, flags: 0 },
  { name: "CONTROL", type: control, minBytes: 0, maxBytes: MAX_PAYLOAD_BYTES, streamId: 0, flags: 0 },
];

/** Each header that section 3 does not allow. Only the header is sent: no implementation may wait for the payload that it announces. */
export const headerViolations: readonly Violation[] = rules.flatMap((rule) => {
  const { name, type, minBytes, maxBytes, streamId, flags } = rule;
  const wrong = (title: string, bytes: number, withFlags: number, id: number): Violation => ({
    title: `the header of ${title}`,
    act: (peer) => void peer.send(header(bytes, type, withFlags, id)),
    wireCode: WireCode.protocol,
  });
  return [
    wrong(`${name} with ${maxBytes + 1} bytes`, maxBytes + 1, 0, streamId),
    ...(minBytes === 0 ? [] : [wrong(`${name} with ${minBytes - 1} bytes`, minBytes - 1, 0, streamId)]),
    ...[1, 2, 0x80]
      .filter((flag) => (flag & ~flags) !== 0)
      .map((flag) => wrong(`${name} with flag ${flag}`, minBytes, flag, streamId)),
    wrong(`${name} with stream id ${1 - streamId}`, minBytes, 0, 1 - streamId),
  ];
});

function header(payloadBytes: number, type: number, flags: number, streamId: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  setHeader(bytes, 0, payloadBytes, type, flags, streamId);
  return bytes;
}
