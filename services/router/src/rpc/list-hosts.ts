import type { ListHostsRequest, ListHostsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";

export function listHosts(switchboard: Switchboard): UnaryHandler<ListHostsRequest, ListHostsResponse> {
  return async () => ({
    hosts: switchboard.hosts.list().map(({ service, party, port, sinceUnixMs }) => ({
      service,
      spiffeId: party.identity.id.uri,
      tunnelId: port.portId,
      sinceUnixMs,
    })),
  });
}
