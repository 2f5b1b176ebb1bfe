import type { PolicyServiceService } from "@sallyport/proto/policy";
import type { CallerRule, Implementation, UnaryHandler } from "@sallyport/service";
import { rpcErrorFrom } from "../errors.ts";
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
    applyPolicy: answering(applyPolicy(source, publisher, events)),
    getPolicy: answering(getPolicy(source)),
    revoke: answering(revoke(trustDomain, source, publisher, events)),
    reinstate: answering(reinstate(trustDomain, source, publisher, events)),
    getHead: answering(getHead(published)),
  };
}

function answering<Request, Response>(handler: UnaryHandler<Request, Response>): UnaryHandler<Request, Response> {
  return async (request, call) => {
    try {
      return await handler(request, call);
    } catch (error) {
      throw rpcErrorFrom(error);
    }
  };
}
