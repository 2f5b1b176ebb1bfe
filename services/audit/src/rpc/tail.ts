import type { Event, TailRequest } from "@sallyport/proto/audit";
import type { StreamHandler } from "@sallyport/service";
import { checkFilter } from "../domain/filter.ts";
import type { TailFeed } from "../domain/tail-feed.ts";
import { rpcErrorOf } from "./rpc-error-of.ts";

export function tail(feed: TailFeed): StreamHandler<TailRequest, Event> {
  return async function* follow(request, call) {
    try {
      yield* feed.follow(checkFilter(request.filter), call.signal);
    } catch (error) {
      throw rpcErrorOf(error);
    }
  };
}
