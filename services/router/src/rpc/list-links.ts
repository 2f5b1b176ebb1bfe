import type { Link, ListLinksRequest, ListLinksResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";

export function listLinks(links: () => readonly Link[]): UnaryHandler<ListLinksRequest, ListLinksResponse> {
  return async () => ({ links: [...links()] });
}
