import type { PolicyState } from "@sallyport/policy-engine";
import type { GetStatusRequest, GetStatusResponse } from "@sallyport/proto/router";
import type { Bus, UnaryHandler } from "@sallyport/service";
import type { Router } from "../router.ts";

export function getStatus(sources: {
  readonly router: Router;
  readonly policy: PolicyState;
  readonly bus: Pick<Bus, "connected" | "tlsGroup">;
  readonly routerId: string;
  readonly publicAddress: string;
}): UnaryHandler<GetStatusRequest, GetStatusResponse> {
  const { router, policy, bus, routerId, publicAddress } = sources;
  return async () => {
    const freshness = policy.freshness();
    const { headSequence, denyListVersion } = policy.versions;
    return {
      routerId,
      epoch: router.epoch,
      publicAddress,
      headSequence,
      headAgeMs: freshness.kind === "fresh" ? Math.round(freshness.ageMs) : 0,
      denyListVersion,
      tunnels: router.switchboard.tunnels.size,
      circuits: router.switchboard.circuits.size,
      busConnected: bus.connected,
      notAdmittingBecause: router.notAdmittingBecause,
      bytesForwarded: router.switchboard.bytesForwarded,
      tlsGroups: Object.fromEntries(router.tlsGroups),
      busTlsGroup: bus.connected ? bus.tlsGroup : "",
    };
  };
}
