import type { Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import type { TunnelStream } from "@sallyport/tunnel";
import type { Circuit, CircuitPort } from "./circuit.ts";
import type { Leg } from "../splice/leg.ts";

/** A tunnel, or a link, as a dial sees it. */
export interface TunnelPort extends CircuitPort {
  /** Whether a further stream towards the other end may be opened. */
  readonly takesStreams: boolean;
  /** What it costs to reach a host this way, in the unit of a host's cost: nothing over its own tunnel. */
  readonly wayCost: number;
  /** Opens a stream towards the other end: the answer goes to `slot`. Null when no further one can be opened. */
  offer(open: StreamOpen, slot: OfferedSlot): number | null;
  /** Gives a stream that the other end opened its meaning. */
  place(streamId: number, slot: OpeningSlot | LocalSlot): void;
  accept(streamId: number, accept: StreamAccept): void;
  refuse(streamId: number, refusal: Refusal): void;
  reset(streamId: number, wireCode: number): void;
  /** From now on frames of `leg` pass through the splice. */
  join(leg: Leg, circuit: Circuit): void;
}

/** What a stream id of a tunnel stands for. A stream that ended has no slot. */
export type StreamSlot = OpeningSlot | OfferedSlot | SplicedSlot | LocalSlot;

/** The dialer waits for its answer, and may only give up. */
export interface OpeningSlot {
  readonly kind: "opening";
  cancelled(): void;
}

/** The host, or the router that has its tunnel, was asked. */
export interface OfferedSlot {
  readonly kind: "offered";
  accepted(accept: StreamAccept): void;
  refused(refusal: Refusal): void;
  gone(): void;
}

export interface SplicedSlot {
  readonly kind: "spliced";
  readonly leg: Leg;
  readonly circuit: Circuit;
}

/** A stream that ends in this process. */
export interface LocalSlot {
  readonly kind: "local";
  readonly stream: TunnelStream;
}
