/** What the rules of enrollment need from outside. */
import type { SpiffeId } from "@sallyport/identity";
import type { Principal } from "@sallyport/policy-engine";
import type { Token } from "./token.ts";

/** A value with the revision that a later compare-and-set must name. */
export interface Versioned<T> {
  readonly value: T;
  readonly revision: number;
}

/** Every method throws EnrollmentError STORE_UNAVAILABLE when the store cannot be asked. */
export interface TokenStore {
  create(token: Token): Promise<void>;
  get(id: string): Promise<Versioned<Token> | null>;
  /** Null when somebody else was faster. */
  replace(revision: number, token: Token): Promise<Versioned<Token> | null>;
  list(): Promise<readonly Token[]>;
}

/** How often an instance has renewed: a copy of its credential falls behind and is noticed. */
export interface Generation {
  readonly generation: number;
  /** RFC 7638 thumbprint of the key that this generation certifies. */
  readonly thumbprint: string;
}

export interface WorkloadInstance {
  readonly name: string;
  readonly instance: string;
}

/** Every method throws EnrollmentError STORE_UNAVAILABLE when the store cannot be asked. */
export interface GenerationStore {
  get(of: WorkloadInstance): Promise<Versioned<Generation> | null>;
  /** Null when there is one already. */
  create(of: WorkloadInstance, generation: Generation): Promise<Versioned<Generation> | null>;
  /** Null when somebody else was faster. */
  replace(of: WorkloadInstance, revision: number, generation: Generation): Promise<Versioned<Generation> | null>;
}

/** The CA. */
export interface Certifier {
  /** DER chain, leaf first, without the root. */
  certify(request: {
    readonly id: SpiffeId;
    readonly spki: Uint8Array;
    readonly requestId: string;
  }): Promise<readonly Buffer[]>;
}

/** The deny-list. */
export interface Revocations {
  /** @throws EnrollmentError IDENTITY_REVOKED, or REVOCATIONS_UNKNOWN when no current deny-list is at hand */
  check(principal: Principal): void;
}
