import {
  issueLeaf,
  checkLeaf,
  readCertificate,
  rootFingerprint,
  sha256Hex,
  type Issuer,
  type SpiffeId,
  type TrustBundle,
} from "@sallyport/identity";
import { CaError } from "../errors.ts";
import type { Issuance, NewIssuance } from "./issuance.ts";

/** What the CA signs with, and what others verify it by. */
export interface SigningState {
  readonly bundle: TrustBundle;
  readonly root: Buffer;
  readonly intermediate: Issuer;
  /** DER of the roots of bootstrap credentials. */
  readonly bootstrapRoots: readonly Buffer[];
}

/** Where issuances go before their certificate leaves. */
export interface IssuanceRecord {
  /** Resolves when the entry is on disk for good. @throws {CaError} LOG_UNAVAILABLE */
  append(issuance: NewIssuance): Promise<Issuance>;
  readonly length: number;
}

export interface Certified {
  /** DER, leaf first, without the root. */
  readonly certificateChain: Buffer[];
  readonly issuance: Issuance;
}

const minTtlSeconds = 60;
const maxTtlSeconds = 86_400;

/**
 * Signs leaves and puts each on record.
 *
 * Invariant: a certificate is handed out only after its entry is durable, so that no certificate exists that the log does not name.
 */
export class Authority {
  readonly #state: SigningState;
  readonly #log: IssuanceRecord;
  readonly #defaultTtlSeconds: number;
  readonly #listeners = new Set<(issuance: Issuance) => void>();

  constructor(state: SigningState, log: IssuanceRecord, options: { readonly defaultTtlSeconds: number }) {
    this.#state = state;
    this.#log = log;
    this.#defaultTtlSeconds = options.defaultTtlSeconds;
  }

  get bundle(): TrustBundle {
    return this.#state.bundle;
  }

  get bootstrapRoots(): readonly Buffer[] {
    return this.#state.bootstrapRoots;
  }

  status(): {
    readonly issued: number;
    readonly rootNotAfter: Date;
    readonly intermediateNotAfter: Date;
    readonly rootFingerprint: string;
  } {
    const { root, intermediate } = this.#state;
    return {
      issued: this.#log.length,
      rootNotAfter: readCertificate(root).notAfter,
      intermediateNotAfter: readCertificate(intermediate.certificate).notAfter,
      rootFingerprint: rootFingerprint(root),
    };
  }

  /** Called for each issuance that is on record, in the order of the record. */
  onIssued(listener: (issuance: Issuance) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /**
   * @param request.ttlSeconds 0: the default of this authority
   * @throws {CaError} TTL_OUT_OF_RANGE, LOG_UNAVAILABLE
   * @throws {IdentityError} PUBLIC_KEY_UNSUPPORTED
   */
  async issue(request: {
    readonly id: SpiffeId;
    readonly spki: Uint8Array;
    readonly ttlSeconds: number;
    readonly requestedBy: string;
    readonly requestId: string;
  }): Promise<Certified> {
    const { intermediate } = this.#state;
    const now = new Date();
    const certificate = await issueLeaf({
      id: request.id,
      spki: request.spki,
      ttlSeconds: request.ttlSeconds === 0 ? this.#defaultTtlSeconds : withinLimits(request.ttlSeconds),
      now,
      issuer: intermediate,
    });
    const { serial, notBefore, notAfter, spki } = checkLeaf(certificate);
    const issuance = await this.#log.append({
      timeUnixMs: now.getTime(),
      spiffeId: request.id.uri,
      serial,
      notBeforeUnixMs: notBefore.getTime(),
      notAfterUnixMs: notAfter.getTime(),
      certificateSha256: sha256Hex(certificate),
      spkiSha256: sha256Hex(spki),
      issuerSha256: sha256Hex(readCertificate(intermediate.certificate).spki),
      requestedBy: request.requestedBy,
      requestId: request.requestId,
    });
    for (const listener of this.#listeners) listener(issuance);
    return { certificateChain: [certificate, intermediate.certificate], issuance };
  }
}

function withinLimits(ttlSeconds: number): number {
  if (ttlSeconds < minTtlSeconds || ttlSeconds > maxTtlSeconds) {
    throw new CaError("TTL_OUT_OF_RANGE", `A certificate lives from ${minTtlSeconds} to ${maxTtlSeconds} seconds.`, {
      remedy: "Ask for 0 to get the default.",
    });
  }
  return ttlSeconds;
}
