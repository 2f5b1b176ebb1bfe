import type { TLSSocket } from "node:tls";
import type { SvidSource } from "@sallyport/identity";
import { connectMtls, type Peer } from "@sallyport/mtls";
import type { Control } from "@sallyport/proto/tunnel";
import { Tunnel, TunnelError, type IncomingStream } from "@sallyport/tunnel";
import { carrierTo, type ChooseProxy } from "../proxy/choose-proxy.ts";

export interface OpenTunnel {
  readonly tunnel: Tunnel;
  /** As its certificate says. */
  readonly router: Peer;
  readonly address: string;
}

export interface TunnelHandlers {
  readonly onOpen: (incoming: IncomingStream, over: OpenTunnel) => void;
  readonly onControl: (message: Control, over: OpenTunnel) => void;
  /** Its router drains. */
  readonly onGoaway: (over: OpenTunnel) => void;
}

export interface OpenTunnelOptions extends TunnelHandlers {
  /** `host:port`. */
  readonly address: string;
  readonly identity: SvidSource;
  readonly proxy: ChooseProxy;
  /** Whether a tunnel to this router (its SPIFFE ID) would be one too many. */
  readonly isTaken: (router: string) => boolean;
  readonly signal: AbortSignal;
}

const alpn = "sallyport/1";
const software = "sallyport/0.1.0";
const helloTimeoutMs = 5_000;
const leaveGraceMs = 2_000;

/** A tunnel to the router that answers at an address; `taken` when that is one of which no second tunnel is wanted: it never sees a hello. */
export async function openTunnel(options: OpenTunnelOptions): Promise<OpenTunnel | "taken"> {
  const { address, identity, isTaken, signal } = options;
  const { socket, peer } = await connectMtls({
    carrier: await carrierTo(address, options.proxy, signal),
    identity,
    trust: identity.bundle(),
    alpn,
    expect: (who) => who.kind === "router",
    signal,
  });
  if (isTaken(peer.identity.id.uri)) {
    leave(socket);
    return "taken";
  }
  socket.setNoDelay(true);
  const opened: { open?: OpenTunnel } = {};
  let drains = false;
  const tunnel = new Tunnel(socket, {
    side: "workload",
    software,
    helloTimeoutMs,
    onOpen: (incoming) => opened.open && options.onOpen(incoming, opened.open),
    onControl: (message) => opened.open && options.onControl(message, opened.open),
    onGoaway: () => {
      drains = true;
      if (opened.open !== undefined) options.onGoaway(opened.open);
    },
  });
  const open: OpenTunnel = { tunnel, router: peer, address };
  opened.open = open;
  const stop = (): void => void tunnel.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await tunnel.hello;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  // Nobody has heard of the tunnel yet, and nobody has to: GOAWAY came right behind the hello.
  if (!drains) return open;
  await tunnel.close();
  throw new TunnelError("TUNNEL_ENDED", "The router drains.");
}

/** A polite end: the router has seen a whole handshake, and nothing to put on record. Whether it ends its side is nobody's to wait for. */
function leave(socket: TLSSocket): void {
  socket.on("error", () => undefined).end();
  socket.setTimeout(leaveGraceMs, () => socket.destroy());
  socket.resume().unref();
}
