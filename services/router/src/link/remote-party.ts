import { identityOf, parseSpiffeId, type Identity } from "@sallyport/identity";
import type { Party } from "../domain/party.ts";

/** How a router names a workload of its tunnels to another router. */
export interface NamedParty {
  readonly spiffeId: string;
  readonly serial: string;
  readonly issuers: readonly string[];
}

const maxIssuers = 8;
const hex = /^[0-9a-f]{1,64}$/;

/**
 * Whom another router vouches for; null when it is no workload of the trust domain or the rest is malformed. It is that router's word: what it can gain
 * by a lie is a circuit whose ends then refuse each other.
 */
export function remoteParty(named: NamedParty, routerId: string, trustDomain: string): Party | null {
  const { spiffeId, serial, issuers } = named;
  const hasIssuers = issuers.length > 0 && issuers.length <= maxIssuers && issuers.every((issuer) => hex.test(issuer));
  if (!hex.test(serial) || !hasIssuers) return null;
  const identity = identityNamed(spiffeId);
  if (identity === null || identity.kind !== "workload" || identity.id.trustDomain !== trustDomain) return null;
  return { identity, serial, issuers, tlsGroup: null, routerId };
}

export function identityNamed(uri: string): Identity | null {
  try {
    return identityOf(parseSpiffeId(uri));
  } catch {
    return null;
  }
}
