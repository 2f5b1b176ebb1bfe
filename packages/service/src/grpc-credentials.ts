import type { Socket } from "node:net";
import { CallCredentials, ChannelCredentials, type experimental } from "@grpc/grpc-js";
import type { Identity, SvidSource, TrustBundle } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";

type SecureConnector = experimental.SecureConnector;
type SecureConnectResult = experimental.SecureConnectResult;

/** Channel credentials whose every connection is made by `connectMtls`: the certificate is the current one, the peer is checked by SPIFFE ID. */
export class MtlsChannelCredentials extends ChannelCredentials {
  readonly #identity: SvidSource;
  readonly #trust: () => TrustBundle;
  readonly #expect: (identity: Identity) => boolean;

  constructor(options: {
    readonly identity: SvidSource;
    readonly trust: () => TrustBundle;
    readonly expect: (identity: Identity) => boolean;
  }) {
    super();
    this.#identity = options.identity;
    this.#trust = options.trust;
    this.#expect = options.expect;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): SecureConnector {
    const closing = new AbortController();
    const callCredentials = CallCredentials.createEmpty();
    return {
      connect: (carrier: Socket) => this.#connect(carrier, closing.signal),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => closing.abort(new Error("the channel was closed")),
    };
  }

  async #connect(carrier: Socket, signal: AbortSignal): Promise<SecureConnectResult> {
    const { socket } = await connectMtls({
      carrier,
      identity: this.#identity,
      trust: this.#trust(),
      alpn: "h2",
      expect: this.#expect,
      signal,
    });
    return { socket, secure: true };
  }
}
