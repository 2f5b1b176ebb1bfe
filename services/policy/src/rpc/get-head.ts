import { HEAD_TYPE } from "@sallyport/policy-engine";
import type { PolicyServiceService } from "@sallyport/proto/policy";
import type { Implementation } from "@sallyport/service";
import { headUnavailable } from "../errors.ts";
import { HEAD_KEY, type PublishedPolicy } from "../store/published-policy.ts";

export function getHead(published: PublishedPolicy): Implementation<typeof PolicyServiceService>["getHead"] {
  return async () => {
    const head = await published.read(HEAD_KEY, HEAD_TYPE);
    if (head === null) throw headUnavailable();
    return head.envelope;
  };
}
