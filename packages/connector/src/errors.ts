import type { Refusal } from "@sallyport/proto/tunnel";

export type ConnectorErrorCode =
  | "ALREADY_HOSTED"
  | "BINDING_MISMATCH"
  | "CIRCUIT_ALTERED"
  | "CIRCUIT_EXPIRED"
  | "CIRCUIT_RESET"
  | "CIRCUIT_REVOKED"
  | "CIRCUIT_TRUNCATED"
  | "CLOSED"
  | "COMMAND_NOT_FOUND"
  | "CONFINEMENT_UNAVAILABLE"
  | "COST_INVALID"
  | "DIAL_REFUSED"
  | "ENROLLMENT_REFUSED"
  | "HANDSHAKE_FAILED"
  | "HOST_REFUSED"
  | "IDENTITY_REVOKED"
  | "LISTEN_NOT_LOOPBACK"
  | "PEER_MISMATCH"
  | "PEER_NOT_ALLOWED"
  | "POLICY_UNAVAILABLE"
  | "PROFILE_EXPIRED"
  | "PROFILE_INVALID"
  | "PROFILE_LOCKED"
  | "PROFILE_UNKNOWN"
  | "PROXY_AUTH_REQUIRED"
  | "PROXY_INVALID"
  | "PROXY_REFUSED"
  | "PROXY_UNREACHABLE"
  | "RECORD_INVALID"
  | "RENEWAL_REFUSED"
  | "ROUTER_UNREACHABLE"
  | "RPC_FAILED"
  | "SERVER_CHANGED"
  | "TARGET_INVALID"
  | "TOKEN_MALFORMED";

export interface ConnectorErrorInit {
  readonly code: ConnectorErrorCode;
  readonly message: string;
  /** What the operator can do about it, one sentence. */
  readonly remedy?: string;
  /** Who refused and by which decision, when somebody did. */
  readonly refusal?: Refusal;
  readonly cause?: unknown;
}

/** Every failure of this package. The message names the likely cause; it never holds a token or a key. */
export class ConnectorError extends Error {
  override readonly name = "ConnectorError";
  readonly code: ConnectorErrorCode;
  readonly remedy: string | undefined;
  readonly refusal: Refusal | undefined;

  constructor(init: ConnectorErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.remedy = init.remedy;
    this.refusal = init.refusal;
  }
}

/** The error of a refused dial or announcement: says why, by which rule and decision. */
export function refusalError(
  code: "DIAL_REFUSED" | "HOST_REFUSED" | "PEER_NOT_ALLOWED",
  subject: string,
  refusal: Refusal,
): ConnectorError {
  return new ConnectorError({ code, refusal, message: `${subject}: ${describeRefusal(refusal)}` });
}

/** `not permitted (POLICY_DENIED, rule agents-no-db, decision 0199…)`. */
export function describeRefusal(refusal: Refusal): string {
  const facts = [refusal.code];
  if (refusal.ruleIds.length > 0) facts.push(`rule ${refusal.ruleIds.join(", ")}`);
  if (refusal.decisionId !== "") facts.push(`decision ${refusal.decisionId}`);
  return `${refusal.message} (${facts.join(", ")})`;
}
