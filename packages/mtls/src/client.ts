import { Duplex } from "node:stream";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { rootFingerprint, type Identity, type Svid, type SvidSource, type TrustBundle } from "@sallyport/identity";
import { MtlsError, pathErrorOf } from "./errors.ts";
import { provenPeer, sentCertificates, type Peer } from "./peer.ts";
import { contextOptions } from "./secure-context.ts";

/** Before a client has a bundle: it knows the root only by its SHA-256 (lower-case hexadecimal), and the server must send it. */
export interface PinnedRoot {
  readonly rootFingerprint: string;
  readonly trustDomain: string;
}

export interface ConnectOptions {
  readonly carrier: { readonly host: string; readonly port: number } | Duplex;
  /** Null: without a certificate of our own. */
  readonly identity: SvidSource | null;
  readonly trust: TrustBundle | PinnedRoot;
  readonly alpn: string;
  /** Whether this is who we meant. The address says nothing about it. */
  readonly expect: (identity: Identity) => boolean;
  /** From the first packet to the proven peer. Default: 5,000. */
  readonly handshakeTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * The client end of TLS. No server name is sent.
 *
 * In TLS 1.3 the client is done before the server has judged its certificate: a refusal shows as an early end of the socket.
 * @throws {MtlsError} or the signal's reason; the carrier is destroyed then
 */
export async function connectMtls(
  options: ConnectOptions,
): Promise<{ readonly socket: TLSSocket; readonly peer: Peer }> {
  const { signal } = options;
  signal?.throwIfAborted();
  const socket = open(options);
  const timeoutMs = options.handshakeTimeoutMs ?? 5000;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => reject(new MtlsError("HANDSHAKE_TIMEOUT", `The handshake took longer than ${timeoutMs} ms.`)),
    timeoutMs,
  );
  const onAbort = (): void => reject(signal?.reason);
  const onError = (error: Error): void => reject(failureOf(error, socket));
  const onClose = (): void => reject(new MtlsError("HANDSHAKE_FAILED", "The peer went away during the handshake."));
  signal?.addEventListener("abort", onAbort);
  socket.once("secureConnect", resolve);
  socket.on("error", onError);
  socket.once("close", onClose);
  try {
    await promise;
    const peer = judge(socket, options);
    socket.off("error", onError);
    return { socket, peer };
  } catch (error) {
    // `onError` stays, so that a late error of the destroyed socket has a listener.
    socket.destroy();
    if (options.carrier instanceof Duplex) options.carrier.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
  }
}

function open({ carrier, identity, trust, alpn }: ConnectOptions): TLSSocket {
  const isPinned = "rootFingerprint" in trust;
  return connect({
    secureContext: contextOf(identity?.current() ?? null, isPinned ? null : trust),
    ...(carrier instanceof Duplex ? { socket: carrier } : { host: carrier.host, port: carrier.port }),
    ALPNProtocols: [alpn],
    servername: "",
    // The names of a leaf are SPIFFE IDs, judged below.
    checkServerIdentity: () => undefined,
    // Without a root there is no path for OpenSSL to verify: `provenPeer` verifies it up to the pinned one.
    rejectUnauthorized: !isPinned,
  });
}

/** Reading certificate, key and roots costs more than a handshake: one context for all connections of an SVID, until it or the bundle is another. */
const contexts = new WeakMap<Svid, WeakMap<TrustBundle, SecureContext>>();

function contextOf(svid: Svid | null, bundle: TrustBundle | null): SecureContext {
  if (svid === null || bundle === null) return createSecureContext(contextOptions(svid, bundle?.roots ?? []));
  const ofSvid = contexts.get(svid) ?? new WeakMap<TrustBundle, SecureContext>();
  contexts.set(svid, ofSvid);
  const context = ofSvid.get(bundle) ?? createSecureContext(contextOptions(svid, bundle.roots));
  ofSvid.set(bundle, context);
  return context;
}

function judge(socket: TLSSocket, { identity, trust, alpn, expect }: ConnectOptions): Peer {
  if (socket.alpnProtocol !== alpn) throw new MtlsError("ALPN_MISMATCH", `The peer does not speak ${alpn}.`);
  // The root that is pinned comes from the peer.
  const ownIssuers = "rootFingerprint" in trust ? [] : (identity?.current().certificateChain.slice(1) ?? []);
  const sent = sentCertificates(socket, ownIssuers);
  const peer = provenPeer(socket, sent, { bundle: bundleOf(trust, sent), extraRoots: [] }, groupOf(socket));
  if (!expect(peer.identity))
    throw new MtlsError("IDENTITY_UNEXPECTED", `${peer.identity.id.uri} is not whom this connection was meant for.`);
  return peer;
}

function bundleOf(trust: TrustBundle | PinnedRoot, sent: readonly Buffer[]): TrustBundle {
  if (!("rootFingerprint" in trust)) return trust;
  const root = sent.at(-1);
  if (root === undefined || rootFingerprint(root) !== trust.rootFingerprint)
    throw new MtlsError("UNTRUSTED", "The server's root is not the one that was pinned.");
  return { trustDomain: trust.trustDomain, roots: [root], sequence: 0 };
}

function groupOf(socket: TLSSocket): string | null {
  const info = socket.getEphemeralKeyInfo();
  return info !== null && "name" in info && typeof info.name === "string" ? info.name : null;
}

function failureOf(error: Error, socket: TLSSocket): Error {
  const verdict: unknown = socket.authorizationError;
  if (typeof verdict === "string") return pathErrorOf(verdict);
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code.includes("NO_APPLICATION_PROTOCOL"))
    return new MtlsError("ALPN_MISMATCH", "The peer speaks none of the offered protocols.", { cause: error });
  return new MtlsError("HANDSHAKE_FAILED", `The handshake failed (${code === "" ? error.message : code}).`, {
    cause: error,
  });
}
