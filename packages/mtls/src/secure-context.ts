import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { pemOf, type Svid } from "@sallyport/identity";

/** Hybrid key agreement, so that a listener that offers nothing else knows the group for certain. */
export const hybridGroup = "X25519MLKEM768";

/** What every TLS end of ours has in common: version 1.3, no tickets (a resumed session outlives expiry and the removal of a root). */
export function contextOptions(svid: Svid | null, roots: readonly Uint8Array[]): SecureContextOptions {
  return {
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET,
    ca: roots.map((root) => pemOf([root])),
    ...(svid === null
      ? {}
      : { cert: pemOf(svid.certificateChain), key: svid.privateKey.export({ type: "pkcs8", format: "pem" }) }),
  };
}
