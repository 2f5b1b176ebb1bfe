import type { PolicyServiceService } from "@sallyport/proto/policy";
import type { CallerRule, Implementation } from "@sallyport/service";
import type { PolicyEvents } from "../events.ts";
import type { Publisher } from "../publisher.ts";
import type { PolicySource } from "../store/policy-source.ts";
import type { PublishedPolicy } from "../store/published-policy.ts";
import { applyPolicy } from "./apply-policy.ts";
import { getHead } from "./get-head.ts";
import { getPolicy } from "./get-policy.ts";
import { reinstate } from "./reinstate.ts";
import { revoke } from "./revoke.ts";

export const CALLER_RULES: Readonly<Record<keyof typeof PolicyServiceService, CallerRule>> = {
  applyPolicy: "admin",
  getPolicy: "admin",
  revoke: "admin",
  reinstate: "admin",
  getHead: "any",
};

export function policyService(parts: {
  readonly trustDomain: string;
  readonly source: PolicySource;
  readonly published: PublishedPolicy;
  readonly publisher: Publisher;
  readonly events: PolicyEvents;
}): Implementation<typeof PolicyServiceService> {
  const { trustDomain, source, published, publisher, events } = parts;
  return {
    applyPolicy: applyPolicy(source, publisher, events),
    getPolicy: getPolicy(source),
    revoke: revoke(trustDomain, source, publisher, events),
    reinstate: reinstate(trustDomain, source, publisher, events),
    getHead: getHead(published),
  };
}
