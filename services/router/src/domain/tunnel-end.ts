import { WireCode } from "@sallyport/frame";
import type { ChannelEnd } from "@sallyport/tunnel";
import type { RouterLimits } from "../limits.ts";
import type { CircuitEnd, Kick, Side } from "./circuit.ts";

/** How a tunnel ended. Every tunnel ends once, with one of these. */
export type TunnelEnd =
  /** The workload, or the network between, ended it. */
  | { readonly kind: "left"; readonly channel: ChannelEnd }
  | { readonly kind: "revoked"; readonly reason: string }
  /** The leaf's life is over. */
  | { readonly kind: "expired" }
  /** The router drains and waited long enough. */
  | { readonly kind: "drained" }
  /** Too much waited for it while the router had no room. */
  | { readonly kind: "overflowed" }
  /** It answers pings and no probe: what hosts there hangs. */
  | { readonly kind: "unresponsive"; readonly reason: string }
  /** Of a link: its router has begun anew, and has another one. */
  | { readonly kind: "superseded" }
  | { readonly kind: "no-hello" }
  | { readonly kind: "kicked"; readonly kick: Kick };

/** An end that the router decides, and tells by GOAWAY. */
export type DecidedEnd = Exclude<TunnelEnd, { kind: "left" | "drained" }>;

export function wireCodeOf(end: DecidedEnd): number {
  switch (end.kind) {
    case "revoked":
      return WireCode.revoked;
    case "expired":
      return WireCode.expired;
    case "overflowed":
      return WireCode.limit;
    case "unresponsive":
      return WireCode.unresponsive;
    case "superseded":
      return WireCode.gone;
    case "no-hello":
      return WireCode.protocol;
    case "kicked":
      return WireCode.kicked;
  }
}

/** The limit for which a tunnel ended; null when it was for none, or for one of the protocol. */
export function limitBehind(end: TunnelEnd): keyof RouterLimits | null {
  switch (end.kind) {
    case "left":
      return end.channel.kind === "overflowed" ? "maxQueuedBytesPerTunnel" : null;
    case "overflowed":
      return "maxQueuedBytes";
    case "unresponsive":
      return "probeTimeoutMs";
    case "no-hello":
      return "helloMs";
    case "revoked":
    case "expired":
    case "drained":
    case "superseded":
    case "kicked":
      return null;
  }
}

/** What the end of one side's tunnel is for a circuit on it: a cut where that side is no longer allowed, which takes back what is queued. */
export function circuitEndOf(end: TunnelEnd, side: Side): CircuitEnd {
  switch (end.kind) {
    case "revoked":
      return { kind: "cut", wireCode: WireCode.revoked, code: "IDENTITY_DENIED", reason: end.reason, decision: null };
    case "expired": {
      const reason = `The ${side}'s certificate expired.`;
      return { kind: "cut", wireCode: WireCode.expired, code: "EXPIRED", reason, decision: null };
    }
    case "kicked":
      return end;
    case "left":
    case "drained":
    case "overflowed":
    case "unresponsive":
    case "superseded":
    case "no-hello":
      return { kind: "tunnel-gone", side };
  }
}
