/** A one-time token as it is kept: without its secret. */
export interface Token {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The workload name that it enrolls. */
  readonly workload: string;
  /** SHA-256 of the secret, hexadecimal. */
  readonly secretSha256: string;
  /** SPIFFE ID of the administrator. */
  readonly createdBy: string;
  readonly createdAtUnixMs: number;
  readonly expiresAtUnixMs: number;
  /** RFC 7638 thumbprint of the only key that may redeem it; empty: the first one that does. */
  readonly keyThumbprint: string;
  readonly state: TokenState;
}

/**
 * unused → claimed → redeemed. A claim is for one key and is taken by compare-and-set, before a certificate is asked for. `redeemed` holds the
 * one certificate that is handed out for this token, however often its holder asks again.
 */
export type TokenState =
  | { readonly kind: "unused" }
  | { readonly kind: "claimed"; readonly thumbprint: string; readonly instance: string }
  | {
      readonly kind: "redeemed";
      readonly thumbprint: string;
      readonly instance: string;
      readonly certificateChain: readonly string[];
    };

/** Who redeemed it, or is about to. Empty while unused. */
export function redeemedBy({ state }: Token): string {
  return state.kind === "redeemed" ? state.instance : "";
}
