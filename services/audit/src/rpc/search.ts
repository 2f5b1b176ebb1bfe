import type { SearchRequest, SearchResponse } from "@sallyport/proto/audit";
import type { UnaryHandler } from "@sallyport/service";
import { checkFilter } from "../domain/filter.ts";
import { AuditError } from "../errors.ts";
import type { AuditStore } from "../store/audit-store.ts";
import { rpcErrorOf } from "./rpc-error-of.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

export function search(store: AuditStore): UnaryHandler<SearchRequest, SearchResponse> {
  return async (request, call) => {
    try {
      if (request.limit > MAX_LIMIT)
        throw new AuditError("FILTER_INVALID", `\`limit\` is at most ${MAX_LIMIT}`, { field: "limit" });
      const limit = request.limit === 0 ? DEFAULT_LIMIT : request.limit;
      return { events: await store.search(checkFilter(request.filter), limit, call.signal) };
    } catch (error) {
      throw rpcErrorOf(error);
    }
  };
}
