import type { GetStatusRequest, GetStatusResponse } from "@sallyport/proto/ca";
import type { UnaryHandler } from "@sallyport/service";
import type { Authority } from "../domain/authority.ts";

export function getStatus(authority: Authority): UnaryHandler<GetStatusRequest, GetStatusResponse> {
  return async () => {
    const { issued, rootNotAfter, intermediateNotAfter, rootFingerprint } = authority.status();
    return {
      trustDomain: authority.bundle.trustDomain,
      issued,
      rootNotAfterUnixMs: rootNotAfter.getTime(),
      intermediateNotAfterUnixMs: intermediateNotAfter.getTime(),
      rootFingerprint,
    };
  };
}
