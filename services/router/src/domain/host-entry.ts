import type { Precedence } from "@sallyport/proto/tunnel";
import type { Party } from "./party.ts";
import type { TunnelPort } from "./tunnel-port.ts";

/** Whether a dial would be served, as far as this router knows. */
export type HostHealth =
  /** Announced, and nothing seen of it yet. */
  | { readonly kind: "unknown" }
  | { readonly kind: "up" }
  | { readonly kind: "down"; readonly reason: string; readonly sinceUnixMs: number };

/** What a workload offers, and the port on which it is reached. */
export interface HostOffer {
  readonly service: string;
  readonly party: Party;
  /** The tunnel of the workload, or the link to the router that has it. */
  readonly port: TunnelPort;
  /** Among hosts of one precedence the lower cost is chosen; 0 to 65,535. */
  readonly cost: number;
  readonly precedence: Precedence;
}

/** Who offers a service. Soft state of this router: it ends with the port. */
export interface HostEntry extends HostOffer {
  readonly sinceUnixMs: number;
  readonly health: HostHealth;
  /** When it last was seen to be up; 0 before that. */
  readonly lastUpUnixMs: number;
  /** Circuits of this router on it. */
  readonly circuits: number;
  /** Circuits on it by the word of the router that has its tunnel; 0 where that is this one. */
  readonly circuitsElsewhere: number;
}

export function isLocal({ party }: HostEntry): boolean {
  return party.routerId === null;
}
