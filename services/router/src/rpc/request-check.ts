/** What several methods check of their requests. A request that fails changes nothing. */
import { RpcError, RpcStatus } from "@sallyport/service";

const maxListed = 5_000;
const maxReasonCharacters = 256;

/** @throws RpcError LIMIT_INVALID */
export function listLimit(limit: number): number {
  if (limit === 0) return maxListed;
  if (limit <= maxListed) return limit;
  throw invalid(
    "LIMIT_INVALID",
    "limit",
    `At most ${maxListed} entries are listed at once.`,
    "Give a condition, or use Watch.",
  );
}

/** @throws RpcError REASON_TOO_LONG */
export function reasonOf(reason: string): string {
  if (reason.length <= maxReasonCharacters) return reason;
  throw invalid(
    "REASON_TOO_LONG",
    "reason",
    "The reason is too long.",
    `Use at most ${maxReasonCharacters} characters.`,
  );
}

export function invalid(code: string, field: string, message: string, remedy: string): RpcError {
  return new RpcError({ code, status: RpcStatus.INVALID_ARGUMENT, message, field, remedy });
}
