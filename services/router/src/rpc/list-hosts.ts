import type { ListHostsRequest, ListHostsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";
import { hostMessage } from "./host-message.ts";
import { listLimit } from "./request-check.ts";

export function listHosts({ hosts }: Pick<Switchboard, "hosts">): UnaryHandler<ListHostsRequest, ListHostsResponse> {
  return async ({ service, limit }) => {
    const most = listLimit(limit);
    const found = service === "" ? hosts.list() : hosts.of(service);
    return { hosts: found.slice(0, most).map(hostMessage), total: found.length };
  };
}
