import { identityOf, workloadId } from "@sallyport/identity";
import type { Outlet } from "../splice/leg.ts";
import type { Party } from "../domain/party.ts";
import type { TunnelPort } from "../domain/tunnel-port.ts";

const nowhere: Outlet = {
  forward: () => undefined,
  writeFrame: () => undefined,
  dropStream: () => undefined,
  flush: () => undefined,
};

/** A port that takes everything and answers nothing: for what only needs to know ports apart. */
export function quietPort(
  portId: string,
  { takesStreams = true, wayCost = 0 }: Partial<Pick<TunnelPort, "takesStreams" | "wayCost">> = {},
): TunnelPort {
  return {
    portId,
    outlet: nowhere,
    takesStreams,
    wayCost,
    offer: () => 2,
    place: () => undefined,
    accept: () => undefined,
    refuse: () => undefined,
    reset: () => undefined,
    join: () => undefined,
    release: () => undefined,
  };
}

export function workloadParty(name: string, routerId: string | null = null): Party {
  const identity = identityOf(workloadId("sallyport.local", name, "1"));
  return { identity, serial: "01", issuers: [], tlsGroup: null, routerId };
}
