import type { ListHostsRequest, ListHostsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";

export function listHosts(switchboard: Switchboard): UnaryHandler<ListHostsRequest, ListHostsResponse> {
  return async () => ({
    hosts: switchboard.hosts.list().map(({ service, tunnel, sinceUnixMs }) => ({
      service,
      spiffeId: tunnel.peer.identity.id.uri,
      tunnelId: tunnel.tunnelId,
      sinceUnixMs,
    })),
  });
}
