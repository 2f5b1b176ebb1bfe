import { WireCode, encodeReset } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { Leg, type Outlet } from "../splice/leg.ts";
import type { Party } from "./party.ts";

export type Side = "dialer" | "host";

export type CircuitEnd =
  /** Both ends finished their direction. Whether the bytes were whole is known only inside the circuit. */
  | { readonly kind: "ended" }
  | { readonly kind: "reset"; readonly by: Side; readonly wireCode: number }
  | { readonly kind: "tunnel-gone"; readonly side: Side }
  /** The link to the router that has that side's tunnel. */
  | { readonly kind: "link-gone"; readonly side: Side; readonly routerId: string }
  /** The link to that router had no room for what waited, and this circuit had most of it. */
  | { readonly kind: "shed"; readonly wireCode: number; readonly routerId: string }
  /** That side granted more than it read, until too much waited for this one stream. */
  | { readonly kind: "overgranted"; readonly side: Side }
  /** Allowed no longer: by policy, by the deny-list, or by the end of a leaf's life. */
  | {
      readonly kind: "cut";
      readonly wireCode: number;
      readonly code: string;
      readonly reason: string;
      readonly decision: Decision | null;
    }
  /** The router drained, and this one ran until the deadline. */
  | { readonly kind: "drained" }
  | { readonly kind: "kicked"; readonly kick: Kick };

/** An operator's order. Nothing is denied by it: who may, comes back. */
export interface Kick {
  /** SPIFFE ID of who asked. */
  readonly askedBy: string;
  readonly reason: string;
}

/** What carries one of a circuit's two streams: a tunnel, or a link to the router that has the tunnel. */
export interface CircuitPort {
  /** A tunnel's or a link's id. */
  readonly portId: string;
  readonly outlet: Outlet;
  /** The stream id means nothing any more: frames that still arrive for it are dropped. */
  release(streamId: number): void;
}

export interface CircuitSide {
  readonly party: Party;
  readonly port: CircuitPort;
  readonly streamId: number;
}

export interface CircuitInit {
  readonly circuitId: string;
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: CircuitSide;
  readonly host: CircuitSide;
  readonly onEnd: (circuit: Circuit, end: CircuitEnd) => void;
}

/** A stream towards the dialer joined to a stream towards the host. It ends once, by `end`. */
export class Circuit {
  readonly circuitId: string;
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: Party;
  readonly host: Party;
  readonly dialerPort: CircuitPort;
  readonly hostPort: CircuitPort;
  readonly dialerLeg: Leg;
  readonly hostLeg: Leg;
  readonly sinceUnixMs: number = Date.now();
  readonly #startedAtMs: number = performance.now();
  readonly #onEnd: (circuit: Circuit, end: CircuitEnd) => void;
  #live = true;

  constructor({ circuitId, service, decision, dialer, host, onEnd }: CircuitInit) {
    this.circuitId = circuitId;
    this.service = service;
    this.decision = decision;
    this.dialer = dialer.party;
    this.host = host.party;
    this.dialerPort = dialer.port;
    this.hostPort = host.port;
    this.dialerLeg = new Leg(dialer.port.outlet, dialer.streamId);
    this.hostLeg = new Leg(host.port.outlet, host.streamId);
    Leg.join(this.dialerLeg, this.hostLeg);
    this.#onEnd = onEnd;
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
    this.dialerPort.release(this.dialerLeg.streamId);
    this.hostPort.release(this.hostLeg.streamId);
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
      case "link-gone":
        return reset(end.side === "dialer" ? this.hostLeg : this.dialerLeg, WireCode.gone, "keep");
      case "shed":
      case "cut":
        return this.#resetBoth(end.wireCode);
      case "overgranted":
        return this.#resetBoth(WireCode.limit);
      case "drained":
        return this.#resetBoth(WireCode.drained);
      case "kicked":
        return this.#resetBoth(WireCode.kicked);
    }
  }

  #resetBoth(wireCode: number): void {
    reset(this.dialerLeg, wireCode, "drop");
    reset(this.hostLeg, wireCode, "drop");
  }
}

/** A cut takes back what is queued: bytes of somebody who is no longer allowed must not still arrive. */
function reset(leg: Leg, wireCode: number, queued: "keep" | "drop"): void {
  if (queued === "drop") leg.outlet.dropStream(leg.streamId);
  leg.outlet.forward(encodeReset(leg.streamId, wireCode));
  leg.outlet.flush();
}
