/**
 * The only server end of TLS in Sallyport.
 *
 * 1. A server end comes from `tls.Server` and `emit('connection', carrier)` only. A bare `new TLSSocket(carrier, …)` in the server role checks
 *    no certificate, whatever its options say.
 * 2. A socket leaves this file only together with a peer that `provenPeer` accepted, or from a listener that asks for no certificate.
 * 3. The peer's certificates are collected at the socket's `secure` event, before `tls.Server` looks at them: since 24.20 its own check removes
 *    the intermediate from OpenSSL's list (nodejs/node#65579). Should that event ever not come first, there is no chain and nobody is let in.
 * 4. Whatever fails destroys the carrier. There is no half-accepted connection.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Duplex } from "node:stream";
import { createServer, TLSSocket, type Server } from "node:tls";
import type { SvidSource } from "@sallyport/identity";
import { MtlsError, pathErrorOf } from "./errors.ts";
import { provenPeer, sentCertificates, type Peer } from "./peer.ts";
import { contextOptions, hybridGroup } from "./secure-context.ts";

export interface MtlsServerOptions {
  readonly identity: SvidSource;
  /** Protocols in order of preference. A peer that offers none of them is refused. */
  readonly alpn: readonly string[];
  /** `none` for callers that have no identity yet: their peer is null. */
  readonly clientCertificate: "required" | "none";
  /** The one key agreement group that is offered. Default: X25519MLKEM768. `any`: OpenSSL's defaults, and `tlsGroup` is null. */
  readonly group?: string;
  /** Default: 5,000. */
  readonly handshakeTimeoutMs?: number;
  /** Further roots (DER) of the same trust domain whose peers are told apart by `anchor: 'extra'`. Read again at each rotation. */
  readonly extraTrust?: () => readonly Buffer[];
  /** Sends the root after the chain, for clients that know nothing but its fingerprint. Default: false. */
  readonly sendRoot?: boolean;
}

export interface Accepted {
  readonly socket: TLSSocket;
  /** Null only when `clientCertificate` is `none`. */
  readonly peer: Peer | null;
}

export interface MtlsServer extends AsyncDisposable {
  /**
   * Runs the handshake on a carrier that somebody else accepted.
   * @throws {MtlsError} or the signal's reason; the carrier is destroyed then
   */
  accept(carrier: Duplex, signal?: AbortSignal): Promise<Accepted>;
}

type Outcome =
  | { readonly kind: "secure"; readonly socket: TLSSocket }
  | { readonly kind: "failed"; readonly error: Error };

/** Ties the events of the one `tls.Server` to the `accept` that they belong to. */
interface Handshake {
  settle: ((outcome: Outcome) => void) | null;
  socket: TLSSocket | null;
  /** What the peer sent (3). */
  sent: readonly Buffer[];
}

export function createMtlsServer(options: MtlsServerOptions): MtlsServer {
  return new Listener(options);
}

class Listener implements MtlsServer {
  readonly #options: MtlsServerOptions;
  readonly #server: Server;
  readonly #handshakes = new AsyncLocalStorage<Handshake>();
  readonly #closing = new AbortController();
  readonly #stopFollowing: () => void;
  #extraRoots: readonly Buffer[] = [];

  constructor(options: MtlsServerOptions) {
    this.#options = options;
    const asksForCertificate = options.clientCertificate === "required";
    const handshakes = this.#handshakes;
    this.#server = createServer({
      ...this.#context(),
      // Called during the handshake, with the socket as `this`. No answer refuses the peer.
      ALPNCallback(this: unknown, { protocols }): string | undefined {
        if (this instanceof TLSSocket) collectCertificates(this, handshakes.getStore(), options.identity);
        return options.alpn.find((protocol) => protocols.includes(protocol));
      },
      requestCert: asksForCertificate,
      rejectUnauthorized: asksForCertificate,
    });
    this.#server.on("secureConnection", (socket) => this.#settle(socket, { kind: "secure", socket }));
    this.#server.on("tlsClientError", (error, socket) =>
      this.#settle(socket, { kind: "failed", error: handshakeError(error, socket) }),
    );
    this.#stopFollowing = options.identity.onRotate(() => this.#server.setSecureContext(this.#context()));
  }

  async accept(carrier: Duplex, signal?: AbortSignal): Promise<Accepted> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const handshake: Handshake = { settle: resolve, socket: null, sent: [] };
    const fail = (error: Error): void => handshake.settle?.({ kind: "failed", error });
    const timeoutMs = this.#options.handshakeTimeoutMs ?? 5000;
    const timer = setTimeout(
      () => fail(new MtlsError("HANDSHAKE_TIMEOUT", `The handshake took longer than ${timeoutMs} ms.`)),
      timeoutMs,
    );
    const stops = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    const onStop = (): void => fail(asError(stops.reason));
    const onGone = (): void => fail(goneBecause(handshake.socket));
    carrier.once("error", onGone);
    carrier.once("close", onGone);
    stops.addEventListener("abort", onStop);
    try {
      if (stops.aborted) onStop();
      else this.#handshakes.run(handshake, () => this.#server.emit("connection", carrier));
      return this.#judge(await promise, handshake.sent);
    } catch (error) {
      carrier.on("error", () => undefined);
      carrier.destroy();
      throw error;
    } finally {
      handshake.settle = null;
      handshake.socket = null;
      clearTimeout(timer);
      stops.removeEventListener("abort", onStop);
      carrier.off("error", onGone);
      carrier.off("close", onGone);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopFollowing();
    this.#closing.abort(new MtlsError("HANDSHAKE_FAILED", "The listener is closed."));
  }

  #settle(socket: TLSSocket, outcome: Outcome): void {
    const handshake = this.#handshakes.getStore();
    // Nobody waits any more: the accept timed out or was aborted.
    if (handshake?.settle == null) socket.destroy();
    else handshake.settle(outcome);
  }

  #judge(outcome: Outcome, sent: readonly Buffer[]): Accepted {
    if (outcome.kind === "failed") throw outcome.error;
    const { socket } = outcome;
    try {
      if (typeof socket.alpnProtocol !== "string")
        throw new MtlsError("ALPN_MISMATCH", "The peer offered no protocol of this listener.");
      if (this.#options.clientCertificate === "none") return { socket, peer: null };
      const trust = { bundle: this.#options.identity.bundle(), extraRoots: this.#extraRoots };
      return { socket, peer: provenPeer(socket, sent, trust, this.#group() ?? null) };
    } catch (error) {
      socket.on("error", () => undefined);
      socket.destroy();
      throw error;
    }
  }

  #group(): string | undefined {
    const { group = hybridGroup } = this.#options;
    return group === "any" ? undefined : group;
  }

  #context(): ReturnType<typeof contextOptions> {
    const { identity, extraTrust, sendRoot } = this.#options;
    const { roots } = identity.bundle();
    const group = this.#group();
    this.#extraRoots = extraTrust?.() ?? [];
    const svid = identity.current();
    const sent =
      sendRoot === true ? { ...svid, certificateChain: [...svid.certificateChain, ...roots.slice(0, 1)] } : svid;
    return {
      ...contextOptions(sent, [...roots, ...this.#extraRoots]),
      ...(group === undefined ? {} : { ecdhCurve: group }),
    };
  }
}

function collectCertificates(socket: TLSSocket, handshake: Handshake | undefined, identity: SvidSource): void {
  // A repeated ClientHello asks twice.
  if (handshake === undefined || handshake.socket === socket) return;
  handshake.socket = socket;
  socket.prependOnceListener("secure", () => {
    handshake.sent = sentCertificates(socket, identity.current().certificateChain.slice(1));
  });
}

function handshakeError(error: Error, socket: TLSSocket): Error {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE")
    return new MtlsError("NO_CERTIFICATE", "The peer showed no certificate.", { cause: error });
  if (code === "ERR_SSL_NO_APPLICATION_PROTOCOL")
    return new MtlsError("ALPN_MISMATCH", "The peer offered no protocol of this listener.", { cause: error });
  // Typed as Error, but a verdict of OpenSSL such as CERT_HAS_EXPIRED; null while there is none.
  const verdict: unknown = socket.authorizationError;
  if (typeof verdict === "string") return pathErrorOf(verdict);
  return new MtlsError("HANDSHAKE_FAILED", `The handshake failed (${code === "" ? error.message : code}).`, {
    cause: error,
  });
}

/** After OpenSSL refused the path, the carrier's close comes first, outside of the handshake's context: the verdict is on the socket by then. */
function goneBecause(socket: TLSSocket | null): MtlsError {
  const verdict: unknown = socket?.authorizationError;
  return typeof verdict === "string"
    ? pathErrorOf(verdict)
    : new MtlsError("HANDSHAKE_FAILED", "The peer went away during the handshake.");
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("The handshake was aborted.", { cause: reason });
}
