import { FrameError } from "./frame-error.ts";
import { FrameType, PING_ACK } from "./frame-type.ts";
import { MAX_PAYLOAD_BYTES } from "./header.ts";

/** OPEN, ACCEPT and REFUSE: names, ids and a sentence. Generous for that, and far from a way to make the peer hold memory. */
export const MAX_OPENING_PAYLOAD_BYTES = 4096;

interface HeaderRule {
  readonly payloadMin: number;
  readonly payloadMax: number;
  readonly flagsMask: number;
  /** Whether frames of this type belong to a stream or to the tunnel (stream id 0). */
  readonly scope: "stream" | "tunnel";
}

const rules: { readonly [T in keyof typeof FrameType]: HeaderRule } = {
  // An empty DATA frame would cost work and no credit.
  data: { payloadMin: 1, payloadMax: MAX_PAYLOAD_BYTES, flagsMask: 0, scope: "stream" },
  open: { payloadMin: 0, payloadMax: MAX_OPENING_PAYLOAD_BYTES, flagsMask: 0, scope: "stream" },
  accept: { payloadMin: 0, payloadMax: MAX_OPENING_PAYLOAD_BYTES, flagsMask: 0, scope: "stream" },
  refuse: { payloadMin: 0, payloadMax: MAX_OPENING_PAYLOAD_BYTES, flagsMask: 0, scope: "stream" },
  window: { payloadMin: 4, payloadMax: 4, flagsMask: 0, scope: "stream" },
  fin: { payloadMin: 0, payloadMax: 0, flagsMask: 0, scope: "stream" },
  reset: { payloadMin: 4, payloadMax: 4, flagsMask: 0, scope: "stream" },
  ping: { payloadMin: 8, payloadMax: 8, flagsMask: PING_ACK, scope: "tunnel" },
  goaway: { payloadMin: 4, payloadMax: 4, flagsMask: 0, scope: "tunnel" },
  control: { payloadMin: 0, payloadMax: MAX_PAYLOAD_BYTES, flagsMask: 0, scope: "tunnel" },
};

// The same rules as columns indexed by type: the check runs once per frame.
const typeCount = Object.keys(rules).length;
const payloadMin = new Uint16Array(typeCount);
const payloadMax = new Uint16Array(typeCount);
const flagsMask = new Uint8Array(typeCount);
const ofTunnel = new Uint8Array(typeCount);
for (const [name, type] of Object.entries(FrameType)) {
  const rule = rules[name as keyof typeof FrameType]; // `Object.entries` widens the key of a constant object.
  payloadMin[type] = rule.payloadMin;
  payloadMax[type] = rule.payloadMax;
  flagsMask[type] = rule.flagsMask;
  ofTunnel[type] = rule.scope === "tunnel" ? 1 : 0;
}

/** Throws FrameError where a header breaks section 3 of spec.md. Runs before anything is allocated for the frame. */
export function checkHeader(payloadBytes: number, type: number, flags: number, streamId: number): void {
  if (type >= typeCount)
    throw new FrameError("FRAME_TYPE_UNKNOWN", `Frame type ${type} is not of this protocol version.`);
  if (payloadBytes < (payloadMin[type] ?? 0) || payloadBytes > (payloadMax[type] ?? 0)) {
    throw new FrameError(
      "FRAME_LENGTH_INVALID",
      `A frame of type ${type} cannot have a payload of ${payloadBytes} bytes.`,
    );
  }
  if ((flags & ~(flagsMask[type] ?? 0)) !== 0) {
    throw new FrameError("FRAME_FLAGS_INVALID", `A frame of type ${type} cannot have flags ${flags}.`);
  }
  if ((streamId === 0) !== (ofTunnel[type] === 1)) {
    throw new FrameError("STREAM_ID_INVALID", `A frame of type ${type} cannot have stream id ${streamId}.`);
  }
}
