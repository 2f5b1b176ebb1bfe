import { Credit } from "@sallyport/frame";

/** What a leg needs of a tunnel's frame channel to send on it. */
export interface Outlet {
  /** One or more whole frames, sent as they are, in order with `writeFrame`. */
  forward(frames: Buffer): void;
  writeFrame(type: number, flags: number, streamId: number, payload?: Uint8Array): void;
  /** Drops what is queued of a stream and has not left. */
  dropStream(streamId: number): void;
  flush(): void;
}

/**
 * One end of a circuit as its tunnel knows it: frames that arrive with `streamId` leave as frames of `peer`.
 * `credit` and `bytes` count DATA payload that arrives here.
 */
export class Leg {
  readonly kind = "leg";
  readonly outlet: Outlet;
  readonly streamId: number;
  /** For DATA that arrives here: granted by the far end, enforced by the router. */
  readonly credit: Credit = new Credit();
  bytes = 0;
  /** A FIN has arrived here. */
  finished = false;
  /** The leg where these frames leave; itself until the circuit is joined. */
  peer: Leg;

  constructor(outlet: Outlet, streamId: number) {
    this.outlet = outlet;
    this.streamId = streamId;
    this.peer = this;
  }

  static join(one: Leg, other: Leg): void {
    one.peer = other;
    other.peer = one;
  }
}
