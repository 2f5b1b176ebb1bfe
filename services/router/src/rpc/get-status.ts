import type { PolicyState } from "@sallyport/policy-engine";
import type { GetStatusRequest, GetStatusResponse, Link } from "@sallyport/proto/router";
import type { Bus, UnaryHandler } from "@sallyport/service";
import type { Router } from "../router.ts";
import { drainMessage } from "./drain-message.ts";

export function getStatus(sources: {
  readonly router: Router;
  readonly links: () => readonly Link[];
  readonly policy: PolicyState;
  readonly bus: Pick<Bus, "connected" | "tlsGroup">;
  readonly routerId: string;
  readonly publicAddress: string;
}): UnaryHandler<GetStatusRequest, GetStatusResponse> {
  const { router, links, policy, bus, routerId, publicAddress } = sources;
  return async () => {
    const { switchboard } = router;
    const freshness = policy.freshness();
    const { headSequence, denyListVersion } = policy.versions;
    return {
      routerId,
      epoch: router.epoch,
      publicAddress,
      headSequence,
      headAgeMs: freshness.kind === "fresh" ? Math.round(freshness.ageMs) : 0,
      denyListVersion,
      tunnels: switchboard.tunnels.size,
      circuits: switchboard.circuits.size,
      busConnected: bus.connected,
      notAdmittingBecause: router.notAdmittingBecause,
      bytesForwarded: switchboard.bytesForwarded,
      tlsGroups: Object.fromEntries(router.tlsGroups),
      busTlsGroup: bus.connected ? bus.tlsGroup : "",
      links: links().length,
      hosts: switchboard.hosts.list().length,
      drain: drainMessage(router.drain.phase),
    };
  };
}
