import type { GetTrustBundleRequest, TrustBundle } from "@sallyport/proto/ca";
import type { UnaryHandler } from "@sallyport/service";
import type { Authority } from "../domain/authority.ts";
import { bundleMessage } from "./svid-response.ts";

export function getTrustBundle(authority: Authority): UnaryHandler<GetTrustBundleRequest, TrustBundle> {
  return async () => bundleMessage(authority.bundle);
}
