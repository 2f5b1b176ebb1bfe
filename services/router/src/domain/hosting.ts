import { FrameError } from "@sallyport/frame";
import type { PolicyChange, PolicyState } from "@sallyport/policy-engine";
import { HostAnnounce } from "@sallyport/proto/tunnel";
import { hostAnnounced, hostRefused, hostWithdrawn, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import type { Circuits } from "./circuits.ts";
import type { HostRegistry } from "./host-registry.ts";
import { refusalOf } from "./refusal.ts";
import type { RouterTunnel } from "./router-tunnel.ts";

export interface HostingOptions {
  readonly policy: PolicyState;
  readonly hosts: HostRegistry;
  readonly circuits: Circuits;
  readonly record: Record;
  readonly limits: Pick<RouterLimits, "maxServicesPerTunnel">;
}

/** Longer than any name of a service can be: not worth a decision. */
export const maxServiceNameLength = 255;
const maxCost = 65_535;

/** What the workloads of this router's tunnels offer to host, kept in line with policy. */
export class Hosting {
  readonly #options: HostingOptions;

  constructor(options: HostingOptions) {
    this.#options = options;
  }

  /** Throws FrameError for what no workload may announce. */
  announced(tunnel: RouterTunnel, announce: HostAnnounce): void {
    const { maxServicesPerTunnel } = this.#options.limits;
    const { service, cost, precedence } = announce;
    if (tunnel.offers.size >= maxServicesPerTunnel && !tunnel.offers.has(service)) {
      throw new FrameError("RATE_EXCEEDED", `More than ${maxServicesPerTunnel} services on one tunnel.`);
    }
    if (service.length > maxServiceNameLength)
      throw new FrameError("PAYLOAD_INVALID", "The name of the service is too long.");
    if (cost > maxCost || precedence < 0 || precedence > 3)
      throw new FrameError("PAYLOAD_INVALID", `A cost is at most ${maxCost}, and a precedence one of four.`);
    tunnel.offers.set(service, announce);
    this.#judge(tunnel, announce, "announced");
  }

  withdrawn(tunnel: RouterTunnel, service: string): void {
    tunnel.offers.delete(service);
    const { hosts, record } = this.#options;
    if (hosts.remove(service, tunnel)) record(hostWithdrawn(tunnel, service, "The host withdrew it."));
  }

  over(tunnel: RouterTunnel): void {
    const { hosts, record } = this.#options;
    for (const service of tunnel.offers.keys()) {
      if (hosts.remove(service, tunnel)) record(hostWithdrawn(tunnel, service, "Its tunnel is over."));
    }
    tunnel.offers.clear();
  }

  policyChanged(change: PolicyChange, tunnels: Iterable<RouterTunnel>): void {
    const changed = new Set(change.services);
    for (const tunnel of tunnels) {
      for (const offer of tunnel.offers.values()) {
        const waits = change.headAdvanced && !this.#options.hosts.has(offer.service, tunnel);
        if (changed.has(offer.service) || waits) this.#judge(tunnel, offer, "again");
      }
    }
  }

  /** Brings what is on offer in line with policy, and tells the workload where that changed or it asked. */
  #judge(tunnel: RouterTunnel, offer: HostAnnounce, why: "announced" | "again"): void {
    const { policy, hosts, circuits, record } = this.#options;
    const { service } = offer;
    const decision = policy.decideHost(tunnel.party, service);
    const offered = hosts.has(service, tunnel);
    if (decision.decision === "allow") {
      hosts.add({ service, party: tunnel.party, port: tunnel, sinceUnixMs: Date.now() });
      if (offered && why === "again") return;
      record(hostAnnounced(tunnel, service, decision));
      return tunnel.sendControl({
        message: { $case: "hostResult", value: { service, accepted: true, refusal: undefined } },
      });
    }
    // A head that is too old takes nothing away.
    if (offered && decision.code === "HEAD_STALE") return;
    if (!offered && why === "again") return;
    const told = refusalOf(decision, "host", service);
    hosts.remove(service, tunnel);
    record(hostRefused(tunnel, service, decision));
    tunnel.sendControl({ message: { $case: "hostResult", value: { service, accepted: false, refusal: told } } });
    circuits.cutHost(tunnel, service, decision);
  }
}
