import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { isIssuedBy, verifyChain, type Identity, type TrustBundle, type VerifiedChain } from "@sallyport/identity";
import { MtlsError, refusalOf } from "./errors.ts";

/** Who is at the other end, as the leaf says whose key was proven in this handshake. Nothing else is an identity. */
export interface Peer {
  readonly identity: Identity;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfter: Date;
  /** Lower-case hexadecimal SHA-256 of each issuing certificate's SPKI, the root's last. */
  readonly issuers: readonly string[];
  /** The key agreement, where this side knows it for certain; else null. */
  readonly tlsGroup: string | null;
  /** Whose root vouches: the trust bundle's, or one of the listener's `extraTrust`. An `extra` peer is no holder of an SVID. */
  readonly anchor: "bundle" | "extra";
}

/** Longer than any chain that is accepted: leaf, two intermediates, root. */
const maxSent = 6;

export interface Trust {
  readonly bundle: TrustBundle;
  readonly extraRoots: readonly Buffer[];
}

/**
 * The peer behind a finished handshake.
 *
 * OpenSSL has verified *some* path for the leaf and does not tell to which root. Node's walk over issuers compares names only, so that a peer
 * can steer it with a forged certificate of a fitting name. What was sent is therefore no more than a collection of certificates, and
 * `verifyChain` checks each signature again, up to a root of the leaf's own trust domain.
 * @param sent what `sentCertificates` collected
 * @throws {MtlsError}
 */
export function provenPeer(socket: TLSSocket, sent: readonly Buffer[], trust: Trust, tlsGroup: string | null): Peer {
  if (socket.isSessionReused())
    throw new MtlsError(
      "SESSION_RESUMED",
      "A resumed session proves neither a key nor a certificate that is still valid.",
    );
  if (sent.length === 0) throw new MtlsError("NO_CERTIFICATE", "The peer showed no certificate.");
  const { verified, anchor } = verify(withoutRoot(sent, trust), trust);
  const { identity, serial, notAfter, issuers } = verified;
  return { identity, serial, notAfter, issuers, tlsGroup, anchor };
}

function verify(
  chain: readonly Buffer[],
  trust: Trust,
): { readonly verified: VerifiedChain; readonly anchor: Peer["anchor"] } {
  const at = new Date();
  try {
    return { verified: verifyChain(chain, trust.bundle, at), anchor: "bundle" };
  } catch (cause) {
    const refusal = refusalOf(cause);
    if (refusal.code !== "UNTRUSTED" || trust.extraRoots.length === 0) throw refusal;
  }
  try {
    return { verified: verifyChain(chain, { ...trust.bundle, roots: trust.extraRoots }, at), anchor: "extra" };
  } catch (cause) {
    throw refusalOf(cause);
  }
}

/** A sender may append the root, and Node's walk does when it holds one. It is not part of a chain. */
function withoutRoot(sent: readonly Buffer[], trust: Trust): readonly Buffer[] {
  const last = sent.at(-1);
  const isRoot = last !== undefined && [...trust.bundle.roots, ...trust.extraRoots].some((root) => root.equals(last));
  return isRoot ? sent.slice(0, -1) : sent;
}

/**
 * What the peer sent: leaf first, then whatever Node takes for each one's issuer. Empty when it sent nothing.
 * A leaf that our own issuer signed comes with our own issuers instead: reading the rest from OpenSSL costs five times as much, for every circuit.
 * By the older of Node's two ways: `getPeerX509Certificate` removes certificates from OpenSSL's list (nodejs/node#65579).
 * @param ownIssuers what stands behind the leaf in this side's own chain
 */
export function sentCertificates(socket: TLSSocket, ownIssuers: readonly Buffer[]): readonly Buffer[] {
  const leaf: unknown = socket.getPeerCertificate(false).raw;
  const [ownIssuer] = ownIssuers;
  if (Buffer.isBuffer(leaf) && ownIssuer !== undefined && isIssuedBy(leaf, ownIssuer)) return [leaf, ...ownIssuers];
  const sent: Buffer[] = [];
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // Node answers an empty object when there is no certificate, and a root is its own issuer.
  while (certificate !== undefined && Buffer.isBuffer(certificate.raw) && sent.length < maxSent) {
    sent.push(certificate.raw);
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return sent;
}
