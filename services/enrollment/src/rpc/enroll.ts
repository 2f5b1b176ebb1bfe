import type { EventInput } from "@sallyport/audit-log";
import type { TrustBundle } from "@sallyport/identity";
import type { EnrollRequest, EnrollResponse } from "@sallyport/proto/enrollment";
import type { UnaryHandler } from "@sallyport/service";
import type { RateLimiter } from "../domain/rate-limiter.ts";
import type { TokenStore } from "../domain/ports.ts";
import type { Redeemer, Redemption } from "../domain/redeem.ts";
import { isTokenId } from "../domain/token-text.ts";
import { EnrollmentError } from "../errors.ts";
import { enrollmentRefused, workloadEnrolled } from "../events.ts";
import { answering } from "./failure.ts";
import { enrollResponse } from "./enroll-response.ts";

/** For strangers: the limit comes before anything that costs. */
export function enroll(options: {
  readonly redeemer: Redeemer;
  readonly tokens: Pick<TokenStore, "get">;
  readonly limiter: RateLimiter;
  readonly bundle: () => TrustBundle;
  readonly routers: readonly string[];
  readonly record: (event: EventInput) => void;
}): UnaryHandler<EnrollRequest, EnrollResponse> {
  const { redeemer, tokens, limiter, bundle, routers, record } = options;
  return async (request) => {
    if (!limiter.take()) return await answering(() => Promise.reject(tooMany()));
    return await answering(
      async () => {
        const enrolled = await redeemer.redeem(redemptionOf(request));
        if (enrolled.isFirst) record(workloadEnrolled(enrolled));
        return enrollResponse(enrolled, bundle(), routers);
      },
      async ({ code, message }) => {
        const tokenId = presentedId(request);
        record(
          enrollmentRefused({
            caller: null,
            tokenId,
            workload: await workloadOf(tokenId, tokens),
            code,
            reason: message,
            unrecorded: limiter.drainRefused(),
          }),
        );
      },
    );
  };
}

function redemptionOf({ csr, evidence }: EnrollRequest): Redemption {
  switch (evidence?.$case) {
    case "token":
      return { ...evidence.value, csr };
    case undefined:
      throw new EnrollmentError("TOKEN_UNKNOWN", "The request holds no evidence.", { remedy: "Present a token." });
  }
}

/** What a stranger wrote goes on record only in the shape of a token's id. */
function presentedId({ evidence }: EnrollRequest): string {
  const id = evidence?.value.tokenId ?? "";
  return isTokenId(id) ? id : "";
}

/** For the record alone: the caller is told nothing that depends on it. */
async function workloadOf(tokenId: string, tokens: Pick<TokenStore, "get">): Promise<string> {
  if (tokenId === "") return "";
  const found = await tokens.get(tokenId).catch(() => null);
  return found?.value.workload ?? "";
}

function tooMany(): EnrollmentError {
  return new EnrollmentError("RATE_LIMITED", "Too many enrollments at once.", {
    remedy: "Try again in a few seconds.",
  });
}
