/** One line of the issuance log: everything about a certificate but the certificate. */
export interface Issuance {
  /** From 1, without gaps. */
  readonly sequence: number;
  readonly timeUnixMs: number;
  readonly spiffeId: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notBeforeUnixMs: number;
  readonly notAfterUnixMs: number;
  /** SHA-256 of the certificate's DER, of its key and of the issuer's key (SubjectPublicKeyInfo), lower-case hexadecimal. */
  readonly certificateSha256: string;
  readonly spkiSha256: string;
  readonly issuerSha256: string;
  /** SPIFFE ID of who asked. */
  readonly requestedBy: string;
  /** The asker's own reference; may be empty. */
  readonly requestId: string;
}

/** What a log entry says before it has its place. */
export type NewIssuance = Omit<Issuance, "sequence">;
