import { WireCode, encodeReset } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { Leg, type Outlet } from "../splice/leg.ts";
import type { Peer } from "@sallyport/mtls";

export type Side = "dialer" | "host";

export type CircuitEnd =
  /** Both ends finished their direction. Whether the bytes were whole is known only inside the circuit. */
  | { readonly kind: "ended" }
  | { readonly kind: "reset"; readonly by: Side; readonly wireCode: number }
  | { readonly kind: "tunnel-gone"; readonly side: Side }
  /** Allowed no longer: by policy, by the deny-list, or by the end of a leaf's life. */
  | {
      readonly kind: "cut";
      readonly wireCode: number;
      readonly code: string;
      readonly reason: string;
      readonly decision: Decision | null;
    };

/** What a circuit holds of each of its two tunnels. */
export interface CircuitPort {
  readonly tunnelId: string;
  readonly peer: Peer;
  readonly outlet: Outlet;
  /** The stream id means nothing any more: frames that still arrive for it are dropped. */
  release(streamId: number): void;
}

export interface CircuitInit {
  readonly circuitId: string;
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: CircuitPort;
  readonly dialerStreamId: number;
  readonly host: CircuitPort;
  readonly hostStreamId: number;
  readonly onEnd: (circuit: Circuit, end: CircuitEnd) => void;
}

/** A stream of the dialer's tunnel joined to a stream of the host's. It ends once, by `end`. */
export class Circuit {
  readonly circuitId: string;
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: CircuitPort;
  readonly host: CircuitPort;
  readonly dialerLeg: Leg;
  readonly hostLeg: Leg;
  readonly sinceUnixMs: number = Date.now();
  readonly #startedAtMs: number = performance.now();
  readonly #onEnd: (circuit: Circuit, end: CircuitEnd) => void;
  #live = true;

  constructor(init: CircuitInit) {
    this.circuitId = init.circuitId;
    this.service = init.service;
    this.decision = init.decision;
    this.dialer = init.dialer;
    this.host = init.host;
    this.dialerLeg = new Leg(init.dialer.outlet, init.dialerStreamId);
    this.hostLeg = new Leg(init.host.outlet, init.hostStreamId);
    Leg.join(this.dialerLeg, this.hostLeg);
    this.#onEnd = init.onEnd;
  }

  get durationUs(): number {
    return Math.round((performance.now() - this.#startedAtMs) * 1_000);
  }

  sideOf(leg: Leg): Side {
    return leg === this.dialerLeg ? "dialer" : "host";
  }

  end(end: CircuitEnd): void {
    if (!this.#live) return;
    this.#live = false;
    this.dialer.release(this.dialerLeg.streamId);
    this.host.release(this.hostLeg.streamId);
    this.#tell(end);
    this.#onEnd(this, end);
  }

  #tell(end: CircuitEnd): void {
    switch (end.kind) {
      case "ended":
      case "reset":
        // The splice has relayed the last FIN, or the RESET.
        return;
      case "tunnel-gone":
        return reset(end.side === "dialer" ? this.hostLeg : this.dialerLeg, WireCode.gone, "keep");
      case "cut":
        reset(this.dialerLeg, end.wireCode, "drop");
        reset(this.hostLeg, end.wireCode, "drop");
    }
  }
}

/** A cut takes back what is queued: bytes of somebody who is no longer allowed must not still arrive. */
function reset(leg: Leg, wireCode: number, queued: "keep" | "drop"): void {
  if (queued === "drop") leg.outlet.dropStream(leg.streamId);
  leg.outlet.forward(encodeReset(leg.streamId, wireCode));
  leg.outlet.flush();
}
