import type { Peer } from "@sallyport/mtls";
import type { Principal } from "@sallyport/policy-engine";

/** Someone who takes part in a circuit: a workload, as the router that has its tunnel proved it. Policy and the deny-list judge by it. */
export interface Party extends Principal {
  /** Of the tunnel; null where another router has it, or where it is not known for certain. */
  readonly tlsGroup: string | null;
  /** SPIFFE ID of the other router that vouches for it; null when this one has the tunnel. */
  readonly routerId: string | null;
}

/** Whom a handshake of this router proved. */
export function ownParty({ identity, serial, issuers, tlsGroup }: Peer): Party {
  return { identity, serial, issuers, tlsGroup, routerId: null };
}
