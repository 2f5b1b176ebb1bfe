import { IdentityError } from "./errors.ts";
import { checkTrustDomain, parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";

/** Who a SPIFFE ID names in our scheme. Policy speaks of names; audit and the deny-list of instances too. */
export type Identity =
  | { readonly kind: "workload"; readonly id: SpiffeId; readonly name: string; readonly instance: string }
  | { readonly kind: "router"; readonly id: SpiffeId; readonly name: string }
  | { readonly kind: "service"; readonly id: SpiffeId; readonly name: string; readonly instance: string }
  | { readonly kind: "admin"; readonly id: SpiffeId; readonly name: string }
  | { readonly kind: "bus"; readonly id: SpiffeId; readonly role: string };

const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether `name` may name a workload, an instance, a router, a service or a role: a DNS label in lower case. */
export function isName(name: string): boolean {
  return namePattern.test(name);
}

/** @throws {IdentityError} IDENTITY_KIND_UNKNOWN when the path is none of ours. */
export function identityOf(id: SpiffeId): Identity {
  const [kind, first, second, ...rest] = id.segments;
  if (kind !== undefined && first !== undefined && rest.length === 0 && id.segments.slice(1).every(isName)) {
    const identity = second === undefined ? oneName(kind, id, first) : twoNames(kind, id, first, second);
    if (identity !== null) return identity;
  }
  throw new IdentityError("IDENTITY_KIND_UNKNOWN", `${id.uri} is none of workload, router, service, admin and bus.`);
}

function oneName(kind: string, id: SpiffeId, name: string): Identity | null {
  if (kind === "router") return { kind, id, name };
  if (kind === "admin") return { kind, id, name };
  if (kind === "bus") return { kind, id, role: name };
  return null;
}

function twoNames(kind: string, id: SpiffeId, name: string, instance: string): Identity | null {
  if (kind === "workload") return { kind, id, name, instance };
  if (kind === "service") return { kind, id, name, instance };
  return null;
}

/** `spiffe://<trust domain>/workload/<name>/<instance>` */
export function workloadId(trustDomain: string, name: string, instance: string): SpiffeId {
  return compose(trustDomain, "workload", name, instance);
}

/** `spiffe://<trust domain>/router/<name>` */
export function routerId(trustDomain: string, name: string): SpiffeId {
  return compose(trustDomain, "router", name);
}

/** `spiffe://<trust domain>/service/<name>/<instance>` */
export function serviceId(trustDomain: string, name: string, instance: string): SpiffeId {
  return compose(trustDomain, "service", name, instance);
}

/** `spiffe://<trust domain>/admin/<name>` */
export function adminId(trustDomain: string, name: string): SpiffeId {
  return compose(trustDomain, "admin", name);
}

/** `spiffe://<trust domain>/bus/<role>`, known to NATS only. */
export function busId(trustDomain: string, role: string): SpiffeId {
  return compose(trustDomain, "bus", role);
}

/** The ID of the trust domain itself, which only signing certificates carry (X509-SVID §5.2). */
export function trustDomainId(trustDomain: string): SpiffeId {
  return parseSpiffeId(`spiffe://${checkTrustDomain(trustDomain)}`);
}

function compose(trustDomain: string, kind: string, ...names: readonly string[]): SpiffeId {
  for (const name of names) {
    if (!isName(name))
      throw new IdentityError("NAME_INVALID", `A ${kind}'s name must match [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?.`);
  }
  return parseSpiffeId(`spiffe://${checkTrustDomain(trustDomain)}/${[kind, ...names].join("/")}`);
}
