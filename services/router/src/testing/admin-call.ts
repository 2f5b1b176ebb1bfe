import { adminId } from "@sallyport/identity";
import type { Call } from "@sallyport/service";
import type { TestAuthority } from "@sallyport/testing";

/** A call of the administrator's, as the gRPC server hands it to a handler. */
export async function adminCall(authority: TestAuthority, signal?: AbortSignal): Promise<Call> {
  const { identity, serial, notAfter } = await authority.issue(adminId(authority.trustDomain, "local"));
  return {
    caller: { kind: "svid", peer: { identity, serial, notAfter, issuers: [], tlsGroup: null, anchor: "bundle" } },
    signal: signal ?? new AbortController().signal,
  };
}
