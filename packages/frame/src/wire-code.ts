/** Why a stream was RESET or a tunnel ended by GOAWAY, as u32 on the wire (spec.md, section 7). A receiver takes an unknown code as INTERNAL. */
export const WireCode = {
  /** GOAWAY only: draining; what is open may finish. */
  none: 0,
  /** The peer broke a rule of this protocol. */
  protocol: 1,
  /** The sender failed for a reason of its own. */
  internal: 2,
  /** DATA beyond credit, or credit beyond its limit. */
  flowControl: 3,
  /** A limit on streams, queues or rates was reached. */
  limit: 4,
  /** Whoever wanted the stream no longer does. */
  cancelled: 5,
  /** Policy or the deny-list no longer allows it. */
  revoked: 6,
  /** The certificate behind the tunnel is no longer valid in time. */
  expired: 7,
  /** The tunnel or target on the other side of the circuit is gone. */
  gone: 8,
  /** The peer did not answer or did not read in time. */
  unresponsive: 9,
  /** No common protocol version. */
  version: 10,
  /** The router went away after a drain: dial again elsewhere. */
  drained: 11,
  /** An operator ended it; who may, comes back. */
  kicked: 12,
  /** The router admits nobody just now: try another one. */
  unavailable: 13,
} as const;

const names = new Map<number, string>(Object.entries(WireCode).map(([name, code]) => [code, name]));

/** A wire code as a receiver takes it. */
export function knownWireCode(code: number): number {
  return names.has(code) ? code : WireCode.internal;
}

/** The spec's name of a wire code, for messages and the record: `revoked`; `unknown(77)` for a code without one. */
export function wireCodeName(code: number): string {
  return names.get(code) ?? `unknown(${code})`;
}
