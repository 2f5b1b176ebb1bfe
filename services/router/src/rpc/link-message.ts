import { Link, LinkState } from "@sallyport/proto/router";
import type { Circuits } from "../domain/circuits.ts";
import type { LinkTunnel } from "../link/link-tunnel.ts";
import type { Links } from "../link/links.ts";
import type { PeerRouter } from "../link/peer-router.ts";

/** Every other router that this one knows of: by its link, or by the lack of one; and links that carry what began before the one in use. */
export function linkMessages(links: Links, circuits: Circuits): readonly Link[] {
  const moved = circuits.moved();
  const ofLink = (peer: PeerRouter, link: LinkTunnel, state: LinkState): Link => {
    const { bytesIn, bytesOut } = moved(link);
    return Link.create({
      linkId: link.linkId,
      routerId: link.routerId,
      routerEpoch: link.routerEpoch,
      address: peer.address === "" ? link.remoteAddress : peer.address,
      state,
      sinceUnixMs: link.sinceUnixMs,
      roundTripMs: link.roundTripMs ?? undefined,
      streams: link.streams,
      hosts: links.hostsBehind(link),
      queuedBytes: link.queuedBytes,
      bytesIn,
      bytesOut,
    });
  };
  return links.routers.flatMap((peer) => {
    const { state, routerId, address, sinceUnixMs } = peer;
    const current = state.kind === "connecting" ? null : state.link;
    const retired = peer.links.filter((link) => link !== current);
    const old = retired.map((link) => ofLink(peer, link, LinkState.LINK_STATE_DRAINING));
    switch (state.kind) {
      case "connecting": {
        const { lastFailure } = state;
        const connecting = LinkState.LINK_STATE_CONNECTING;
        return [
          Link.create({ linkId: routerId, routerId, address, sinceUnixMs, state: connecting, lastFailure }),
          ...old,
        ];
      }
      case "up":
        return [ofLink(peer, state.link, LinkState.LINK_STATE_UP), ...old];
      case "draining":
        return [ofLink(peer, state.link, LinkState.LINK_STATE_DRAINING), ...old];
    }
  });
}
