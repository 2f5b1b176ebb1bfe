import type { KeyObject } from "node:crypto";
import { readCertificate } from "./certificate.ts";
import { IdentityError } from "./errors.ts";
import type { Identity } from "./identity.ts";
import { spkiOf } from "./keys.ts";
import { checkLeaf } from "./leaf.ts";
import type { TrustBundle } from "./trust-bundle.ts";

/** An X.509-SVID with its private key. */
export interface Svid {
  readonly identity: Identity;
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Buffer[];
  readonly privateKey: KeyObject;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Where the current SVID and bundle come from; both change while a process runs. */
export interface SvidSource {
  current(): Svid;
  bundle(): TrustBundle;
  /** Calls `listener` after each change. The answer ends the subscription. */
  onRotate(listener: () => void): () => void;
}

/**
 * Puts chain and key together. The leaf's rules are checked here, its time and its issuer are not.
 * @throws {IdentityError} as checkLeaf, and KEY_MISMATCH
 */
export function createSvid(chain: readonly Uint8Array[], privateKey: KeyObject): Svid {
  const certificateChain = chain.map((der) => Buffer.from(der));
  const [leaf, ...issuers] = certificateChain;
  if (leaf === undefined) throw new IdentityError("CHAIN_INVALID", "An SVID needs at least its leaf certificate.");
  const { identity, serial, notBefore, notAfter, spki } = checkLeaf(leaf);
  if (!spkiOf(privateKey).equals(spki))
    throw new IdentityError("KEY_MISMATCH", "The private key is not the one that the certificate names.");
  issuers.forEach(readCertificate);
  return { identity, certificateChain, privateKey, serial, notBefore, notAfter };
}

/** A source whose owner sets each new SVID. The identity stays the same for its whole life. */
export class RotatingSvid implements SvidSource {
  #svid: Svid;
  #bundle: TrustBundle;
  readonly #listeners = new Set<() => void>();

  constructor(svid: Svid, bundle: TrustBundle) {
    this.#svid = svid;
    this.#bundle = bundle;
  }

  current(): Svid {
    return this.#svid;
  }

  bundle(): TrustBundle {
    return this.#bundle;
  }

  onRotate(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** @throws {IdentityError} IDENTITY_CHANGED */
  rotate(svid: Svid, bundle: TrustBundle): void {
    const [before, after] = [this.#svid.identity.id.uri, svid.identity.id.uri];
    if (before !== after)
      throw new IdentityError("IDENTITY_CHANGED", `The SVID of ${before} cannot become one of ${after}.`);
    this.#svid = svid;
    this.#bundle = bundle;
    for (const listener of this.#listeners) listener();
  }
}
