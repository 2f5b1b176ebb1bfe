import type { ListTunnelsRequest, ListTunnelsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";
import { listLimit } from "./request-check.ts";
import { tunnelMessage } from "./tunnel-message.ts";
import { workloadSubject } from "./workload-subject.ts";

export function listTunnels({
  tunnels,
  circuits,
}: Pick<Switchboard, "tunnels" | "circuits">): UnaryHandler<ListTunnelsRequest, ListTunnelsResponse> {
  return async ({ workload, limit }) => {
    const most = listLimit(limit);
    const found = workload === "" ? [...tunnels] : tunnels.of(workloadSubject(workload));
    const moved = circuits.moved();
    return {
      tunnels: found.slice(0, most).map((tunnel) => tunnelMessage(tunnel, moved(tunnel))),
      total: found.length,
    };
  };
}
