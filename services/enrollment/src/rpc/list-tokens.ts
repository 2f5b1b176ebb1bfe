import type { ListTokensRequest, ListTokensResponse, TokenSummary } from "@sallyport/proto/enrollment";
import type { UnaryHandler } from "@sallyport/service";
import type { TokenStore } from "../domain/ports.ts";
import { redeemedBy, type Token } from "../domain/token.ts";
import { answering } from "./failure.ts";

/** Newest first. */
export function listTokens(tokens: TokenStore): UnaryHandler<ListTokensRequest, ListTokensResponse> {
  return () =>
    answering(async () => {
      const all = [...(await tokens.list())].sort((a, b) => b.createdAtUnixMs - a.createdAtUnixMs);
      return { tokens: all.map(summaryOf) };
    });
}

function summaryOf(token: Token): TokenSummary {
  return {
    tokenId: token.id,
    workload: token.workload,
    createdBy: token.createdBy,
    createdAtUnixMs: token.createdAtUnixMs,
    expiresAtUnixMs: token.expiresAtUnixMs,
    redeemedByInstance: redeemedBy(token),
  };
}
