import type { Tunnel } from "@sallyport/proto/router";
import type { Moved } from "../domain/circuits.ts";
import type { RouterTunnel } from "../domain/router-tunnel.ts";

export function tunnelMessage(tunnel: RouterTunnel, { bytesIn, bytesOut }: Moved): Tunnel {
  const { peer, outlet } = tunnel;
  return {
    tunnelId: tunnel.tunnelId,
    spiffeId: peer.identity.id.uri,
    serial: peer.serial,
    remoteAddress: tunnel.remoteAddress,
    sinceUnixMs: tunnel.sinceUnixMs,
    notAfterUnixMs: peer.notAfter.getTime(),
    streams: tunnel.streams,
    tlsGroup: peer.tlsGroup ?? "",
    queuedBytes: tunnel.queuedBytes,
    roundTripMs: outlet.roundTripMs ?? undefined,
    bytesIn,
    bytesOut,
  };
}
