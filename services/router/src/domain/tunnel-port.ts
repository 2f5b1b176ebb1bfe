import type { Control, Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import type { TunnelStream } from "@sallyport/tunnel";
import type { Circuit, CircuitPort } from "./circuit.ts";
import type { Leg } from "../splice/leg.ts";

/** A tunnel as dials, hosts and built-in streams see it. */
export interface TunnelPort extends CircuitPort {
  readonly sinceUnixMs: number;
  /** Whether a further stream towards the workload may be opened. */
  readonly takesStreams: boolean;
  /** Opens a stream towards the workload: the answer goes to `slot`. Null when all ids of the tunnel are used up. */
  offer(open: StreamOpen, slot: OfferedSlot): number | null;
  accept(streamId: number, accept: StreamAccept): void;
  refuse(streamId: number, refusal: Refusal): void;
  reset(streamId: number, wireCode: number): void;
  /** From now on frames of `leg` pass through the splice. */
  join(leg: Leg, circuit: Circuit): void;
  sendControl(message: Control): void;
}

/** What a stream id of a tunnel stands for. A stream that ended has no slot. */
export type StreamSlot = OpeningSlot | OfferedSlot | SplicedSlot | LocalSlot;

/** The dialer waits for its answer, and may only give up. */
export interface OpeningSlot {
  readonly kind: "opening";
  cancelled(): void;
}

/** The host was asked. */
export interface OfferedSlot {
  readonly kind: "offered";
  accepted(): void;
  refused(refusal: Refusal): void;
  gone(): void;
}

export interface SplicedSlot {
  readonly kind: "spliced";
  readonly leg: Leg;
  readonly circuit: Circuit;
}

/** A built-in stream: it ends in this process. */
export interface LocalSlot {
  readonly kind: "local";
  readonly stream: TunnelStream;
}
