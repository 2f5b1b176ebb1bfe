import type { PolicyState } from "@sallyport/policy-engine";
import { EnrollmentError } from "../errors.ts";
import type { Revocations } from "./ports.ts";

/** Asks the deny-list of a verified policy state, and lets nobody pass while that is missing or old. */
export function policyRevocations(state: Pick<PolicyState, "freshness" | "denied">): Revocations {
  return {
    check: (principal) => {
      const entry = state.denied(principal);
      if (entry !== null) {
        const { identity } = principal;
        const who = identity.kind === "workload" ? `The workload ${identity.name}` : identity.id.uri;
        const why = entry.reason === "" ? "" : `: ${entry.reason}`;
        throw new EnrollmentError("IDENTITY_REVOKED", `${who} is revoked${why}.`, {
          remedy: "An administrator can take it off the deny-list: sallyport reinstate <name>.",
        });
      }
      const freshness = state.freshness();
      if (freshness.kind !== "fresh") {
        throw new EnrollmentError(
          "REVOCATIONS_UNKNOWN",
          `Nobody is enrolled or renewed without a current deny-list: ${freshness.reason}.`,
          {
            remedy: "See that the policy service and the bus are up, then try again.",
          },
        );
      }
    },
  };
}
