import { verifyCsr, type Identity } from "@sallyport/identity";
import type { IssueServiceSvidRequest, IssueSvidResponse } from "@sallyport/proto/ca";
import { peerOf, type UnaryHandler } from "@sallyport/service";
import type { Authority } from "../domain/authority.ts";
import { serviceIdentity } from "../domain/service-identity.ts";
import { answering } from "./failure.ts";
import { svidResponse } from "./svid-response.ts";

export function issueServiceSvid(authority: Authority): UnaryHandler<IssueServiceSvidRequest, IssueSvidResponse> {
  return (request, call) => answering(() => issueFor(authority, peerOf(call).identity, request));
}

/** Also the CA's own way to its SVIDs, for which it needs nobody. */
export async function issueFor(
  authority: Authority,
  holder: Identity,
  { csr, bus }: IssueServiceSvidRequest,
): Promise<IssueSvidResponse> {
  const id = serviceIdentity(holder, bus);
  const { spki } = await verifyCsr(csr);
  const certified = await authority.issue({ id, spki, ttlSeconds: 0, requestedBy: holder.id.uri, requestId: "" });
  return svidResponse(certified, authority.bundle);
}
