import type { SpiffeId, TrustBundle } from "@sallyport/identity";
import type { EnrollResponse } from "@sallyport/proto/enrollment";

export function enrollResponse(
  issued: { readonly id: SpiffeId; readonly certificateChain: readonly Buffer[]; readonly generation: number },
  { trustDomain, roots, sequence }: TrustBundle,
  routers: readonly string[],
): EnrollResponse {
  return {
    spiffeId: issued.id.uri,
    certificateChain: [...issued.certificateChain],
    bundle: { trustDomain, roots: [...roots], sequence },
    routers: [...routers],
    generation: issued.generation,
  };
}
