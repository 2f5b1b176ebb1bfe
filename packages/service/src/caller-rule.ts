import type { Peer } from "@sallyport/mtls";

/**
 * Who may call a method. Everything is said of the leaf that was proven in the connection's handshake.
 *
 * - `admin`, `workload`: an SVID of that kind;
 * - `{ service }`: an SVID of one of our own services, any instance;
 * - `any`: any SVID of the trust domain;
 * - `bootstrap`: a bootstrap credential, which may do nothing else anywhere;
 * - `any-or-bootstrap`: either;
 * - `unauthenticated`: anyone, on a listener that asks for no client certificate.
 */
export type CallerRule =
  | "admin"
  | "workload"
  | "any"
  | "bootstrap"
  | "any-or-bootstrap"
  | "unauthenticated"
  | { readonly service: string };

/** Who is at the other end of a call. */
export type Caller =
  | { readonly kind: "svid"; readonly peer: Peer }
  | { readonly kind: "bootstrap"; readonly peer: Peer }
  | { readonly kind: "anonymous" };

export function mayCall(rule: CallerRule, caller: Caller): boolean {
  switch (caller.kind) {
    case "anonymous":
      return rule === "unauthenticated";
    case "bootstrap":
      return rule === "bootstrap" || rule === "any-or-bootstrap";
    case "svid":
      return svidMayCall(rule, caller.peer);
  }
}

function svidMayCall(rule: CallerRule, { identity }: Peer): boolean {
  if (typeof rule === "object") return identity.kind === "service" && identity.name === rule.service;
  switch (rule) {
    case "any":
    case "any-or-bootstrap":
      return true;
    case "admin":
    case "workload":
      return identity.kind === rule;
    case "bootstrap":
    case "unauthenticated":
      return false;
  }
}

/** The rule in words, for the refusal. */
export function describeRule(rule: CallerRule): string {
  if (typeof rule === "object") return `service ${rule.service}`;
  switch (rule) {
    case "any":
      return "anyone with an SVID";
    case "any-or-bootstrap":
      return "anyone with an SVID or a bootstrap credential";
    case "bootstrap":
      return "a bootstrap credential";
    case "unauthenticated":
      return "anyone";
    case "admin":
    case "workload":
      return `a SPIFFE ID of kind ${rule}`;
  }
}
