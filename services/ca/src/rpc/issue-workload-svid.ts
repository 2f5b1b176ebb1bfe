import { identityOf, IdentityError, parseSpiffeId, type SpiffeId } from "@sallyport/identity";
import type { IssueSvidResponse, IssueWorkloadSvidRequest } from "@sallyport/proto/ca";
import { peerOf, type UnaryHandler } from "@sallyport/service";
import type { Authority } from "../domain/authority.ts";
import { CaError } from "../errors.ts";
import { answering } from "./failure.ts";
import { svidResponse } from "./svid-response.ts";

const maxRequestIdBytes = 128;
const remedy = "Ask for `spiffe://<trust domain>/workload/<name>/<instance>`.";

export function issueWorkloadSvid(authority: Authority): UnaryHandler<IssueWorkloadSvidRequest, IssueSvidResponse> {
  return (request, call) =>
    answering(async () => {
      const certified = await authority.issue({
        id: workloadIdOf(request.spiffeId, authority.bundle.trustDomain),
        spki: request.publicKeySpki,
        ttlSeconds: request.ttlSeconds,
        requestedBy: peerOf(call).identity.id.uri,
        requestId: checkRequestId(request.requestId),
      });
      return svidResponse(certified, authority.bundle);
    });
}

function workloadIdOf(uri: string, trustDomain: string): SpiffeId {
  const id = readId(uri);
  if (id.trustDomain !== trustDomain)
    throw new CaError("SPIFFE_ID_INVALID", `This CA issues for ${trustDomain} only.`, { remedy });
  if (identityOf(id).kind !== "workload")
    throw new CaError("SPIFFE_ID_INVALID", "Only the SPIFFE ID of a workload can be issued here.", { remedy });
  return id;
}

function readId(uri: string): SpiffeId {
  try {
    const id = parseSpiffeId(uri);
    identityOf(id);
    return id;
  } catch (cause) {
    if (cause instanceof IdentityError) throw new CaError("SPIFFE_ID_INVALID", cause.message, { remedy, cause });
    throw cause;
  }
}

function checkRequestId(requestId: string): string {
  if (Buffer.byteLength(requestId) > maxRequestIdBytes)
    throw new CaError("REQUEST_ID_INVALID", `A request id has at most ${maxRequestIdBytes} bytes.`, {
      remedy: "Send a shorter one, or none.",
    });
  return requestId;
}
