import type { KeyObject } from "node:crypto";
import { createSvid, trustBundle, verifyChain, type Svid, type TrustBundle } from "@sallyport/identity";
import type { EnrollResponse } from "@sallyport/proto/enrollment";
import { ConnectorError } from "../errors.ts";

/**
 * What enrollment gave: a certificate for our key and the roots to believe from now on. Held to what only makes sense: a workload of the
 * trust domain that was asked, whose chain leads to one of these roots. Throws RPC_FAILED.
 */
export function takeAnswer(
  answer: EnrollResponse,
  privateKey: KeyObject,
  trustDomain: string,
): { readonly svid: Svid; readonly bundle: TrustBundle } {
  if (answer.bundle === undefined || answer.bundle.trustDomain !== trustDomain) {
    throw senseless("it is for another trust domain");
  }
  const bundle = trustBundle(answer.bundle);
  const svid = createSvid(answer.certificateChain, privateKey);
  const { identity } = svid;
  if (identity.kind !== "workload" || identity.id.trustDomain !== trustDomain)
    throw senseless(`it names ${identity.id.uri}`);
  try {
    verifyChain(svid.certificateChain, bundle, new Date());
  } catch (cause) {
    throw senseless("its certificate does not lead to its roots", cause);
  }
  return { svid, bundle };
}

function senseless(why: string, cause?: unknown): ConnectorError {
  return new ConnectorError({ code: "RPC_FAILED", message: `Enrollment's answer makes no sense: ${why}.`, cause });
}
