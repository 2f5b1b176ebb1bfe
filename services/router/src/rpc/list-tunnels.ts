import type { ListTunnelsRequest, ListTunnelsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";

export function listTunnels(switchboard: Switchboard): UnaryHandler<ListTunnelsRequest, ListTunnelsResponse> {
  return async () => ({
    tunnels: [...switchboard.tunnels].map(({ tunnelId, peer, remoteAddress, sinceUnixMs, streams }) => ({
      tunnelId,
      spiffeId: peer.identity.id.uri,
      serial: peer.serial,
      remoteAddress,
      sinceUnixMs,
      notAfterUnixMs: peer.notAfter.getTime(),
      streams,
      tlsGroup: peer.tlsGroup ?? "",
    })),
  });
}
