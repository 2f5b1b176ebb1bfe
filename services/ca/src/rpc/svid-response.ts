import type { TrustBundle } from "@sallyport/identity";
import type { IssueSvidResponse, TrustBundle as TrustBundleMessage } from "@sallyport/proto/ca";
import type { Certified } from "../domain/authority.ts";

export function svidResponse({ certificateChain, issuance }: Certified, bundle: TrustBundle): IssueSvidResponse {
  return { certificateChain, bundle: bundleMessage(bundle), serial: issuance.serial };
}

export function bundleMessage({ trustDomain, roots, sequence }: TrustBundle): TrustBundleMessage {
  return { trustDomain, roots: [...roots], sequence };
}
