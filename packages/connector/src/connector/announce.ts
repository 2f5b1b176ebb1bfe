import { type Control, HostAnnounce } from "@sallyport/proto/tunnel";
import type { Hosting } from "./hosting.ts";
import type { ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

export type Hostings = ReadonlyMap<string, Hosting>;

/** Offers to host over one tunnel. */
export function announce(over: OpenTunnel, hosting: Hosting): void {
  const { service, cost, precedence } = hosting;
  hosting.announced(over);
  over.tunnel.sendControl({
    message: { $case: "hostAnnounce", value: HostAnnounce.create({ service, cost, precedence }) },
  });
}

export function withdraw({ tunnel }: OpenTunnel, service: string): void {
  tunnel.sendControl({ message: { $case: "hostWithdraw", value: { service } } });
}

/** A new tunnel knows of no offer yet. */
export function announceAll(over: OpenTunnel, hostings: Hostings): void {
  for (const hosting of hostings.values()) announce(over, hosting);
}

export function takeHostResult({ message }: Control, over: OpenTunnel, hostings: Hostings, log: ConnectorLog): void {
  if (message?.$case !== "hostResult") return;
  const { service, accepted, refusal } = message.value;
  hostings.get(service)?.answer(message.value, over);
  const facts = { service, router: over.router.identity.id.uri };
  if (accepted) log.info(facts, "hosted");
  else {
    const { code, message: reason, decisionId: decision } = refusal ?? {};
    log.warn({ ...facts, code, reason, decision }, "hosting refused");
  }
}
