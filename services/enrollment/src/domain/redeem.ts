/**
 * Redemption of one-time tokens.
 *
 * 1. Nothing is claimed before secret, expiry, key and deny-list were checked.
 * 2. A claim is a compare-and-set: of all keys that ask, one gets it. It stays with that key.
 * 3. One certificate is handed out per token. Whoever has the claimed key and lost the answer gets that same certificate again.
 * 4. Nobody learns from an error whether a token exists unless they know its secret.
 */
import { randomBytes } from "node:crypto";
import { identityOf, thumbprint, verifyCsr, workloadId, type SpiffeId } from "@sallyport/identity";
import { EnrollmentError } from "../errors.ts";
import type { Certifier, GenerationStore, Revocations, TokenStore, Versioned } from "./ports.ts";
import { isTokenId, secretMatches } from "./token-text.ts";
import type { Token, TokenState } from "./token.ts";

export interface Redemption {
  readonly tokenId: string;
  readonly secret: string;
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
}

export interface Enrolled {
  readonly id: SpiffeId;
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Buffer[];
  readonly generation: number;
  /** False when an earlier answer was lost and is given again. */
  readonly isFirst: boolean;
  readonly token: Token;
}

export interface RedeemDependencies {
  readonly trustDomain: string;
  readonly tokens: TokenStore;
  readonly generations: GenerationStore;
  readonly certifier: Certifier;
  readonly revocations: Revocations;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const maxAttempts = 5;
const firstGeneration = 1;
/** Stands for the instance while only the name can be asked about. No instance is called so: theirs have 11 characters. */
const noInstanceYet = "none";

interface Key {
  readonly spki: Buffer;
  readonly thumbprint: string;
}

export class Redeemer {
  readonly #with: RedeemDependencies;
  /** Redemptions that run, by token and key: a client that asks twice at once waits for the same certificate. */
  readonly #running = new Map<string, Promise<Enrolled>>();

  constructor(dependencies: RedeemDependencies) {
    this.#with = dependencies;
  }

  /** @throws {EnrollmentError} */
  async redeem({ tokenId, secret, csr }: Redemption): Promise<Enrolled> {
    const { value: token } = await this.#find(tokenId, secret);
    const { spki } = await verifyCsr(csr);
    const key: Key = { spki, thumbprint: thumbprint(spki) };
    checkKey(token, key);
    this.#checkRevoked(token, noInstanceYet);
    return await this.#once(`${tokenId} ${key.thumbprint}`, () => this.#complete(token.id, key));
  }

  async #once(name: string, run: () => Promise<Enrolled>): Promise<Enrolled> {
    const running = this.#running.get(name);
    if (running !== undefined) return { ...(await running), isFirst: false };
    const started = run().finally(() => this.#running.delete(name));
    this.#running.set(name, started);
    return await started;
  }

  async #find(tokenId: string, secret: string): Promise<Versioned<Token>> {
    const found = isTokenId(tokenId) ? await this.#with.tokens.get(tokenId) : null;
    if (found === null || !secretMatches(secret, found.value.secretSha256)) {
      throw new EnrollmentError("TOKEN_UNKNOWN", "The token is not known here.", { remedy: "Ask for a new token." });
    }
    if (this.#with.now() >= found.value.expiresAtUnixMs) {
      const { id, expiresAtUnixMs } = found.value;
      throw new EnrollmentError(
        "TOKEN_EXPIRED",
        `The token ${id} expired at ${new Date(expiresAtUnixMs).toISOString()}.`,
        { remedy: "Ask for a new token." },
      );
    }
    return found;
  }

  /** Goes on from wherever the token is, until it is redeemed for this key or found to belong to another one. */
  async #complete(id: string, key: Key): Promise<Enrolled> {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const current = await this.#with.tokens.get(id);
      if (current === null) break;
      const { value: token, revision } = current;
      checkKey(token, key);
      switch (token.state.kind) {
        case "unused":
          await this.#with.tokens.replace(revision, {
            ...token,
            state: { kind: "claimed", thumbprint: key.thumbprint, instance: newInstance() },
          });
          break;
        case "claimed": {
          const enrolled = await this.#certify(token, revision, token.state, key);
          if (enrolled !== null) return enrolled;
          break;
        }
        case "redeemed":
          return this.#again(token, token.state);
      }
    }
    throw new EnrollmentError("STORE_UNAVAILABLE", "The token changed too often while it was redeemed.", {
      remedy: "Try again.",
    });
  }

  /** @returns null when another process finished the same claim meanwhile: then its certificate is the one. */
  async #certify(
    token: Token,
    revision: number,
    claim: Extract<TokenState, { readonly kind: "claimed" }>,
    key: Key,
  ): Promise<Enrolled | null> {
    const { instance } = claim;
    const id = this.#checkRevoked(token, instance);
    const certificateChain = await this.#certifyOrRelease(token, revision, id, key);
    await this.#with.generations.create(
      { name: token.workload, instance },
      { generation: firstGeneration, thumbprint: key.thumbprint },
    );
    const state: TokenState = {
      ...claim,
      kind: "redeemed",
      certificateChain: certificateChain.map((der) => der.toString("base64")),
    };
    const redeemed = await this.#with.tokens.replace(revision, { ...token, state });
    return redeemed === null
      ? null
      : { id, certificateChain, generation: firstGeneration, isFirst: true, token: redeemed.value };
  }

  /** While the CA cannot issue, the claim is given back, so that the holder may come again with whatever key. */
  async #certifyOrRelease(token: Token, revision: number, id: SpiffeId, key: Key): Promise<readonly Buffer[]> {
    try {
      return await this.#with.certifier.certify({ id, spki: key.spki, requestId: token.id });
    } catch (error) {
      await this.#with.tokens.replace(revision, { ...token, state: { kind: "unused" } }).catch(() => null);
      throw error;
    }
  }

  #again(token: Token, state: Extract<TokenState, { readonly kind: "redeemed" }>): Enrolled {
    const id = this.#checkRevoked(token, state.instance);
    const certificateChain = state.certificateChain.map((der) => Buffer.from(der, "base64"));
    return { id, certificateChain, generation: firstGeneration, isFirst: false, token };
  }

  #checkRevoked(token: Token, instance: string): SpiffeId {
    const id = workloadId(this.#with.trustDomain, token.workload, instance);
    this.#with.revocations.check({ identity: identityOf(id), serial: "", issuers: [] });
    return id;
  }
}

function checkKey(token: Token, key: Key): void {
  if (token.keyThumbprint !== "" && token.keyThumbprint !== key.thumbprint) {
    throw new EnrollmentError("TOKEN_KEY_MISMATCH", `The token ${token.id} is bound to another key.`, {
      remedy: "Use the key that the token was made for.",
    });
  }
  if (token.state.kind !== "unused" && token.state.thumbprint !== key.thumbprint) {
    throw new EnrollmentError("TOKEN_ALREADY_USED", `The token ${token.id} was redeemed by another key.`, {
      remedy: "Ask for a new token; if nobody of yours used this one, revoke the workload.",
    });
  }
}

/** 11 characters of `[0-9a-z]`: about 56 random bits. */
function newInstance(): string {
  return randomBytes(8).readBigUInt64BE().toString(36).padStart(11, "0").slice(-11);
}
