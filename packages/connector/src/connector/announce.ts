import { type Control, HostAnnounce } from "@sallyport/proto/tunnel";
import type { Hosting } from "./hosting.ts";
import type { ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./tunnel-keeper.ts";

export type Hostings = ReadonlyMap<string, Hosting>;

export function announce({ tunnel }: OpenTunnel, service: string): void {
  tunnel.sendControl({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service }) } });
}

export function withdraw({ tunnel }: OpenTunnel, service: string): void {
  tunnel.sendControl({ message: { $case: "hostWithdraw", value: { service } } });
}

/** A new tunnel knows of no offer yet. */
export function announceAll(open: OpenTunnel, hostings: Hostings): void {
  for (const hosting of hostings.values()) {
    hosting.lost();
    announce(open, hosting.service);
  }
}

export function takeHostResult({ message }: Control, hostings: Hostings, log: ConnectorLog): void {
  if (message?.$case !== "hostResult") return;
  const { service, accepted, refusal } = message.value;
  hostings.get(service)?.answer(message.value);
  if (accepted) log.info({ service }, "hosted");
  else
    log.warn(
      { service, code: refusal?.code, reason: refusal?.message, decision: refusal?.decisionId },
      "hosting refused",
    );
}
