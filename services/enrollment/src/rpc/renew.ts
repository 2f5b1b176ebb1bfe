import type { EventInput } from "@sallyport/audit-log";
import type { TrustBundle } from "@sallyport/identity";
import type { EnrollResponse, RenewRequest } from "@sallyport/proto/enrollment";
import { peerOf, type UnaryHandler } from "@sallyport/service";
import { renew as renewSvid, type RenewDependencies } from "../domain/renew.ts";
import { enrollmentRefused, workloadRenewed } from "../events.ts";
import { enrollResponse } from "./enroll-response.ts";
import { answering } from "./failure.ts";

export function renew(
  options: RenewDependencies & {
    readonly bundle: () => TrustBundle;
    readonly routers: readonly string[];
    readonly record: (event: EventInput) => void;
  },
): UnaryHandler<RenewRequest, EnrollResponse> {
  const { bundle, routers, record } = options;
  return (request, call) => {
    const peer = peerOf(call);
    const { identity } = peer;
    return answering(
      async () => {
        // The caller rule lets workloads in only; the compiler does not know that.
        if (identity.kind !== "workload") throw new TypeError(`${identity.id.uri} is no workload`);
        const renewed = await renewSvid(options, { ...peer, identity }, request);
        record(workloadRenewed(identity.id, identity.name, renewed));
        return enrollResponse({ ...renewed, id: identity.id }, bundle(), routers);
      },
      ({ code, message }) =>
        record(enrollmentRefused({ caller: peer, tokenId: "", workload: "", code, reason: message, unrecorded: 0 })),
    );
  };
}
