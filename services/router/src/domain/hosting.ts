import { FrameError } from "@sallyport/frame";
import type { PolicyChange, PolicyState } from "@sallyport/policy-engine";
import type { HostAnnounce } from "@sallyport/proto/tunnel";
import { hostAnnounced, hostRefused, hostWithdrawn, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { ByService } from "./by-service.ts";
import type { Circuits } from "./circuits.ts";
import type { HostOffer } from "./host-entry.ts";
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

/** Throws FrameError for what nobody may offer, on a tunnel or over a link. */
export function checkHostOffer({
  service,
  cost,
  precedence,
}: Pick<HostOffer, "service" | "cost" | "precedence">): void {
  if (service.length > maxServiceNameLength)
    throw new FrameError("PAYLOAD_INVALID", "The name of the service is too long.");
  if (cost > maxCost || precedence < 0 || precedence > 3)
    throw new FrameError("PAYLOAD_INVALID", `A cost is at most ${maxCost}, and a precedence one of four.`);
}

/** What the workloads of this router's tunnels offer to host, kept in line with policy. */
export class Hosting {
  readonly #options: HostingOptions;
  /** Tunnels that offer it, allowed or not. */
  readonly #offering = new ByService<RouterTunnel>();
  /** Those of them that were refused since no head in force could allow it: the next one may. */
  readonly #waiting = new ByService<RouterTunnel>();

  constructor(options: HostingOptions) {
    this.#options = options;
  }

  /** Throws FrameError for what no workload may announce. */
  announced(tunnel: RouterTunnel, announce: HostAnnounce): void {
    const { maxServicesPerTunnel } = this.#options.limits;
    const { service } = announce;
    if (tunnel.offers.size >= maxServicesPerTunnel && !tunnel.offers.has(service)) {
      throw new FrameError("RATE_EXCEEDED", `More than ${maxServicesPerTunnel} services on one tunnel.`);
    }
    checkHostOffer(announce);
    tunnel.offers.set(service, announce);
    this.#offering.add(service, tunnel);
    this.#judge(tunnel, announce, "announced");
  }

  withdrawn(tunnel: RouterTunnel, service: string): void {
    tunnel.offers.delete(service);
    this.#forget(service, tunnel);
    const { hosts, record } = this.#options;
    const entry = hosts.at(service, tunnel);
    if (entry === undefined) return;
    hosts.remove(entry);
    record(hostWithdrawn(tunnel, service, "The host withdrew it."));
  }

  over(tunnel: RouterTunnel): void {
    const { hosts, record } = this.#options;
    for (const service of tunnel.offers.keys()) {
      this.#forget(service, tunnel);
      const entry = hosts.at(service, tunnel);
      if (entry === undefined) continue;
      hosts.remove(entry);
      record(hostWithdrawn(tunnel, service, "Its tunnel is over."));
    }
    tunnel.offers.clear();
  }

  policyChanged({ services, headAdvanced }: PolicyChange): void {
    for (const service of services) this.#judgeAll(service, this.#offering);
    if (!headAdvanced) return;
    for (const service of this.#waiting.services) this.#judgeAll(service, this.#waiting);
  }

  #judgeAll(service: string, tunnels: ByService<RouterTunnel>): void {
    for (const tunnel of tunnels.of(service)) {
      const offer = tunnel.offers.get(service);
      if (offer !== undefined) this.#judge(tunnel, offer, "again");
    }
  }

  #forget(service: string, tunnel: RouterTunnel): void {
    this.#offering.delete(service, tunnel);
    this.#waiting.delete(service, tunnel);
  }

  /** Brings what is on offer in line with policy, and tells the workload where that changed or it asked. */
  #judge(tunnel: RouterTunnel, offer: HostAnnounce, why: "announced" | "again"): void {
    const { policy, hosts, circuits, record } = this.#options;
    const { service, cost, precedence } = offer;
    const decision = policy.decideHost(tunnel.party, service);
    const offered = hosts.at(service, tunnel);
    if (offered === undefined && decision.code === "HEAD_STALE") this.#waiting.add(service, tunnel);
    else this.#waiting.delete(service, tunnel);
    if (decision.decision === "allow") {
      if (offered === undefined) hosts.add({ service, party: tunnel.party, port: tunnel, cost, precedence });
      else hosts.setPreference(offered, offer);
      if (offered !== undefined && why === "again") return;
      record(hostAnnounced(tunnel, service, decision));
      return tunnel.sendControl({
        message: { $case: "hostResult", value: { service, accepted: true, refusal: undefined } },
      });
    }
    // A head that is too old takes nothing away.
    if (offered !== undefined && decision.code === "HEAD_STALE") return;
    if (offered === undefined && why === "again") return;
    const told = refusalOf(decision, "host", service);
    if (offered !== undefined) hosts.remove(offered);
    record(hostRefused(tunnel, service, decision));
    tunnel.sendControl({ message: { $case: "hostResult", value: { service, accepted: false, refusal: told } } });
    circuits.cutHost(tunnel, service, decision);
  }
}
