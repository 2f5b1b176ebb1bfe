import type { PolicyServiceService } from "@sallyport/proto/policy";
import type { Implementation } from "@sallyport/service";
import type { PolicySource } from "../store/policy-source.ts";

export function getPolicy(source: PolicySource): Implementation<typeof PolicyServiceService>["getPolicy"] {
  return async () => {
    const { document, version } = (await source.readPolicy()).value;
    return { document, version };
  };
}
