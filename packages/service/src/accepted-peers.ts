import { createHash } from "node:crypto";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { Peer } from "@sallyport/mtls";
import type { Caller } from "./caller-rule.ts";

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>["getAuthContext"]>;

/**
 * Peers of the open connections, by the SHA-256 of the leaf that each proved.
 *
 * gRPC tells a handler the peer's certificate as the TLS socket itself reports it. That certificate is the key here, so that a call gets
 * exactly the identity that the handshake of its own connection proved.
 */
export class AcceptedPeers {
  readonly #peers = new Map<string, { readonly peer: Peer; connections: number }>();

  /** @param leaf DER, from the accepted socket. @returns call it when the connection ends. */
  add(leaf: Uint8Array, peer: Peer): () => void {
    const key = fingerprint(leaf);
    const entry = this.#peers.get(key) ?? { peer, connections: 0 };
    entry.connections += 1;
    this.#peers.set(key, entry);
    return () => {
      entry.connections -= 1;
      if (entry.connections === 0) this.#peers.delete(key);
    };
  }

  callerOf(context: AuthContext): Caller {
    const leaf = context.sslPeerCertificate?.raw;
    const peer = leaf === undefined ? undefined : this.#peers.get(fingerprint(leaf))?.peer;
    if (peer === undefined) return { kind: "anonymous" };
    return { kind: peer.anchor === "extra" ? "bootstrap" : "svid", peer };
  }
}

function fingerprint(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}
