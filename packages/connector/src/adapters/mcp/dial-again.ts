import { WireCode } from "@sallyport/frame";
import type { CircuitEnd } from "../../circuit/circuit-end.ts";
import type { ConnectorError } from "../../errors.ts";

/**
 * Whether a conversation may go on over another circuit. Not when somebody decided against it, not when the server or this side ended it:
 * only when the way between them broke.
 */
export function mayDialAgainAfter(end: CircuitEnd): boolean {
  switch (end.kind) {
    case "ended":
    case "revoked":
      return false;
    case "reset":
      return end.by !== "self" && end.code !== WireCode.revoked;
    case "truncated":
    case "altered":
    case "expired":
      return true;
  }
}

/** Reasons of a dial that pass by themselves. */
const passing: ReadonlySet<string> = new Set([
  "ROUTER_UNREACHABLE",
  "HANDSHAKE_FAILED",
  "CIRCUIT_EXPIRED",
  "CIRCUIT_RESET",
  "CIRCUIT_TRUNCATED",
  "CIRCUIT_ALTERED",
]);
const passingRefusals: ReadonlySet<string> = new Set(["NO_HOST", "HOST_DOWN", "OVERLOADED", "DRAINING", "HEAD_STALE"]);

/** Whether the same dial may succeed a moment later. A decision against it stays one. */
export function mayPass({ code, refusal }: ConnectorError): boolean {
  if (code !== "DIAL_REFUSED" || refusal === undefined) return passing.has(code);
  return passingRefusals.has(refusal.code) || (refusal.code === "HOST_REFUSED" && refusal.decisionId === "");
}
