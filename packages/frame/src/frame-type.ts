/** The types of frames, by the number on the wire (spec.md, section 3). */
export const FrameType = {
  /** Bytes of a stream; spends credit. */
  data: 0,
  /** Asks for a new stream. Payload: protobuf StreamOpen. */
  open: 1,
  /** The stream is open. Payload: protobuf StreamAccept. */
  accept: 2,
  /** The stream will not be opened. Payload: protobuf Refusal. */
  refuse: 3,
  /** Grants credit for a stream. Payload: u32 bytes. */
  window: 4,
  /** The sender has no more DATA for this stream; the other direction goes on. */
  fin: 5,
  /** The stream is over in both directions, at once. Payload: u32 wire code. */
  reset: 6,
  /** Liveness. Payload: 8 opaque bytes, sent back unchanged with flag bit 0. */
  ping: 7,
  /** The sender takes no new streams (code 0), or ends the tunnel (any other). Payload: u32 wire code. */
  goaway: 8,
  /** Payload: protobuf Control. */
  control: 9,
} as const;

/** Flag bit 0 of PING: this is the answer. */
export const PING_ACK = 1;
