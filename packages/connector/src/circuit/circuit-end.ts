import { WireCode, wireCodeName } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { ConnectorError } from "../errors.ts";

/** How a circuit ended. Everything but `ended` is an error to whoever uses it, and on record. */
export type CircuitEnd =
  /** Both directions ended with an authenticated count of their bytes. */
  | { readonly kind: "ended" }
  /** It was cut: no authenticated end arrived. */
  | { readonly kind: "truncated"; readonly reason: string }
  /** What arrived is not what the other end sent: altered, reordered, repeated, left out or of another circuit. */
  | { readonly kind: "altered"; readonly reason: string }
  /** Ended by `by` for the reason in `code` (WireCode). `router` is what the tunnel says, which nobody vouches for. */
  | { readonly kind: "reset"; readonly by: "self" | "peer" | "router"; readonly code: number }
  /** This end's own policy state no longer allows the other end. */
  | { readonly kind: "revoked"; readonly decision: Decision }
  /** One of the two certificates reached its end. */
  | { readonly kind: "expired" };

/** The error that the application sees; undefined for the one good end. */
export function circuitError(service: string, end: CircuitEnd): ConnectorError | undefined {
  const circuit = `The circuit to ${service}`;
  switch (end.kind) {
    case "ended":
      return undefined;
    case "truncated":
      return new ConnectorError({
        code: "CIRCUIT_TRUNCATED",
        message: `${circuit} was cut before its end: ${end.reason}. What arrived is not everything.`,
      });
    case "altered":
      return new ConnectorError({
        code: "CIRCUIT_ALTERED",
        message: `${circuit} was tampered with on its way: ${end.reason}. Nothing of what was altered was handed on.`,
        remedy: "Treat the router as faulty or hostile; the audit record names it.",
      });
    case "reset":
      return new ConnectorError({
        code: end.code === revokedCode ? "CIRCUIT_REVOKED" : "CIRCUIT_RESET",
        message: `${circuit} was reset by ${resetters[end.by]}: ${wireCodeName(end.code)}.`,
      });
    case "revoked":
      return new ConnectorError({
        code: "CIRCUIT_REVOKED",
        message: `${circuit} is no longer allowed: ${end.decision.reason} (decision ${end.decision.decisionId}).`,
      });
    case "expired":
      return new ConnectorError({
        code: "CIRCUIT_EXPIRED",
        message: `${circuit} reached the end of a certificate's life.`,
        remedy: "Dial again.",
      });
  }
}

/** `Event.outcome` of circuit.closed. */
export function circuitOutcome(end: CircuitEnd): string {
  switch (end.kind) {
    case "ended":
      return "ok";
    case "truncated":
      return "truncated";
    case "altered":
      return "error";
    case "reset":
      return end.code === revokedCode ? "revoked" : end.by === "self" ? "cancelled" : "disconnected";
    case "revoked":
      return "revoked";
    case "expired":
      return "disconnected";
  }
}

const resetters = { self: "this side", peer: "the other end", router: "the router" } as const;
const revokedCode: number = WireCode.revoked;
