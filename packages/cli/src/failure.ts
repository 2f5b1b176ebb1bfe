import { exitCode, type ExitCode } from "./exit-code.ts";

/** A failure as it is shown, whatever package it comes from. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  /** What to do next; empty when nothing better than the message is known. */
  readonly remedy: string;
  readonly exitCode: ExitCode;
  /** What of the request is at fault, in dotted form; empty when that is not known. */
  readonly field: string;
  /** Rules and decision behind a refusal, for `audit search --decision-id`. */
  readonly decisionId: string;
  /** Where in a policy file, and other facts. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Errors of our packages carry a stable `code`, and some a `remedy`, a gRPC `status` or a `refusal`. */
export function failureOf(error: unknown): Failure {
  const code = textOf(error, "code");
  const message = error instanceof Error ? error.message : String(error);
  const refusal = memberOf(error, "refusal");
  return {
    code: code === "" ? "FAILED" : code,
    message: redact(firstLineUnlessOurs(message, code)),
    remedy: redact(REMEDIES[code] ?? (textOf(error, "remedy") || defaultRemedy(code))),
    exitCode: exitCodeOf(error, code),
    field: textOf(error, "field"),
    decisionId: textOf(error, "decisionId") || textOf(refusal, "decisionId"),
    facts: factsOf(error),
  };
}

/** gRPC status codes, written out so that an error needs no gRPC to be shown. */
const PERMISSION_DENIED = 7;
const SERVICE_UNAVAILABLE = 14;

const REFUSED = new Set([
  "DIAL_REFUSED",
  "HOST_REFUSED",
  "PEER_NOT_ALLOWED",
  "ENROLLMENT_REFUSED",
  "RENEWAL_REFUSED",
  "CIRCUIT_REVOKED",
  "CALLER_NOT_ALLOWED",
  "IDENTITY_REVOKED",
]);
const UNREACHABLE = new Set([
  "NETWORK_UNREACHABLE",
  "STATE_NOT_FOUND",
  "ROUTER_UNREACHABLE",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "POLICY_UNAVAILABLE",
  "PROXY_AUTH_REQUIRED",
  "PROXY_REFUSED",
  "PROXY_UNREACHABLE",
]);
const NOT_ENROLLED = new Set(["PROFILE_UNKNOWN", "PROFILE_EXPIRED", "PROFILE_MISSING", "PROFILE_INVALID"]);
const USAGE = new Set([
  "TOKEN_MALFORMED",
  "TARGET_INVALID",
  "LISTEN_NOT_LOOPBACK",
  "PUBLIC_ADDRESS_MISSING",
  "ADDRESS_INVALID",
  "ROUTERS_INVALID",
  "NAME_INVALID",
  "SUBJECT_INVALID",
  "TTL_OUT_OF_RANGE",
  "COST_INVALID",
  "PROXY_INVALID",
  "DEADLINE_INVALID",
  "REASON_TOO_LONG",
  "LIMIT_INVALID",
]);

function exitCodeOf(error: unknown, code: string): ExitCode {
  const own = memberOf(error, "exitCode");
  const known = Object.values(exitCode).find((value) => value === own);
  if (known !== undefined) return known;
  if (code === "STATE_LOCKED") return exitCode.alreadyRunning;
  if (REFUSED.has(code)) return exitCode.refused;
  if (UNREACHABLE.has(code)) return exitCode.unreachable;
  if (NOT_ENROLLED.has(code)) return exitCode.notEnrolled;
  if (USAGE.has(code)) return exitCode.usage;
  const grpcStatus = memberOf(error, "status");
  if (grpcStatus === PERMISSION_DENIED) return exitCode.refused;
  if (grpcStatus === SERVICE_UNAVAILABLE) return exitCode.unreachable;
  return exitCode.failed;
}

/** In the words of the command line; the services speak to integrators, of fields. */
const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: "Another program listens there: choose another port with --listen; port 0 finds a free one.",
  EACCES: "This user may not: choose a folder of your own, and a port above 1023.",
  ERR_MODULE_NOT_FOUND: "This checkout changed since it was set up: run `node scripts/setup.js` in it.",
  NAME_INVALID: "Choose a name of lower-case letters, digits and inner hyphens, at most 63 characters.",
  SUBJECT_INVALID: "Name a workload as policy does, or give a whole SPIFFE ID, --serial or --issuer.",
  TARGET_INVALID: "Write host:port, such as 127.0.0.1:5432.",
  TTL_OUT_OF_RANGE: "Choose --ttl between 10s and 24h.",
};

function defaultRemedy(code: string): string {
  if (UNREACHABLE.has(code)) return "Check that the network runs: `sallyport status`.";
  if (NOT_ENROLLED.has(code))
    return "Enroll this machine: `sallyport token create <workload> | sallyport enroll --profile <name>`.";
  return "";
}

function factsOf(error: unknown): Readonly<Record<string, string>> {
  const facts = {
    ...(memberOf(error, "metadata") as object | undefined),
    ...(memberOf(error, "position") as object | undefined),
  };
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, redact(String(value))]));
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown, name: string): string {
  const member = memberOf(value, name);
  return typeof member === "string" ? member : "";
}

/** A foreign error may bring a page of stack; ours mean every line. */
function firstLineUnlessOurs(message: string, code: string): string {
  return code === "" ? (message.split("\n")[0] ?? "") : message;
}

/** An enrollment token never reaches the screen by way of an error. */
export function redact(text: string): string {
  return text.replace(/spt1\.[A-Za-z0-9._-]+/g, "spt1.[redacted]");
}
