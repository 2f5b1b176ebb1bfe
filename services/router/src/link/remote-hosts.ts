/**
 * The hosts behind one link, as the router at its other end announces them.
 *
 *   1. A snapshot comes first and replaces everything. Then each message has the sequence number after the last: a gap ends the link, and the next one
 *      begins with a snapshot.
 *   2. What was said by another boot than the one that said hello is not taken.
 *   3. A host is used only where this router's own policy and deny-list let it host, whatever its router thinks: looked at again at each change.
 */
import { FrameError } from "@sallyport/frame";
import type { PolicyChange, PolicyState } from "@sallyport/policy-engine";
import type { HostsDelta, HostsSnapshot, LinkHost } from "@sallyport/proto/tunnel";
import type { HostEntry, HostHealth } from "../domain/host-entry.ts";
import type { HostRegistry } from "../domain/host-registry.ts";
import { checkHostOffer } from "../domain/hosting.ts";
import type { Party } from "../domain/party.ts";
import { announcedHostRefused, type Record } from "../events.ts";
import type { LinkTunnel } from "./link-tunnel.ts";
import { remoteParty } from "./remote-party.ts";

export interface RemoteHostsOptions {
  readonly link: LinkTunnel;
  readonly policy: PolicyState;
  readonly hosts: HostRegistry;
  readonly record: Record;
  readonly trustDomain: string;
  readonly maxHosts: number;
}

interface Announced {
  readonly host: LinkHost;
  readonly party: Party;
  /** Null while own policy does not let it host. */
  entry: HostEntry | null;
}

export class RemoteHosts {
  readonly #options: RemoteHostsOptions;
  readonly #announced = new Map<string, Announced>();
  /** Of the last message; null before the snapshot. */
  #sequence: number | null = null;
  #closed = false;

  constructor(options: RemoteHostsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#announced.size;
  }

  /** Throws FrameError; so does `delta`. */
  snapshot({ routerEpoch, sequence, hosts }: HostsSnapshot): void {
    if (!this.#isNext(routerEpoch, this.#sequence === null ? sequence - 1 : this.#sequence, sequence)) return;
    const named = new Set(hosts.map((host) => keyOf(host)));
    for (const key of this.#announced.keys()) if (!named.has(key)) this.#gone(key);
    for (const host of hosts) this.#changed(host);
  }

  delta({ routerEpoch, sequence, changed, gone }: HostsDelta): void {
    if (!this.#isNext(routerEpoch, this.#sequence, sequence)) return;
    for (const ref of gone) this.#gone(keyOf(ref));
    for (const host of changed) this.#changed(host);
  }

  /** 3 */
  policyChanged({ services, denyListChanged, headAdvanced }: PolicyChange): void {
    const changed = new Set(services);
    for (const announced of this.#announced.values()) {
      const waits = headAdvanced && announced.entry === null;
      const denied = denyListChanged && this.#options.policy.denied(announced.party) !== null;
      if (waits || denied || changed.has(announced.host.service)) this.#judge(announced);
    }
  }

  /** The link is over, or another one took its place. */
  close(): void {
    this.#closed = true;
    for (const key of this.#announced.keys()) this.#gone(key);
  }

  /** 1, 2 */
  #isNext(routerEpoch: number, last: number | null, sequence: number): boolean {
    if (this.#closed || routerEpoch !== this.#options.link.routerEpoch) return false;
    if (last === null || sequence !== last + 1)
      throw new FrameError("PAYLOAD_INVALID", `Hosts announced by message ${sequence} after ${last ?? "none"}.`);
    this.#sequence = sequence;
    return true;
  }

  #changed(host: LinkHost): void {
    const { hosts, maxHosts, record, link } = this.#options;
    const key = keyOf(host);
    const known = this.#announced.get(key);
    const party = this.#partyOf(host);
    if (known?.entry != null && known.party.serial === party.serial) {
      this.#announced.set(key, { host, party, entry: known.entry });
      hosts.setPreference(known.entry, host);
      hosts.setHealth(known.entry, healthOf(host, known.entry.health));
      return hosts.setCircuitsElsewhere(known.entry, host.circuits);
    }
    if (known === undefined && this.#announced.size >= maxHosts)
      throw new FrameError("RATE_EXCEEDED", `More than ${maxHosts} hosts on one link.`);
    this.#gone(key);
    const announced: Announced = { host, party, entry: null };
    this.#announced.set(key, announced);
    const decision = this.#judge(announced);
    if (decision.decision === "deny" && decision.code !== "HEAD_STALE")
      record(announcedHostRefused(link, host.service, host.spiffeId, decision));
  }

  #gone(key: string): void {
    const entry = this.#announced.get(key)?.entry;
    this.#announced.delete(key);
    if (entry != null) this.#options.hosts.remove(entry);
  }

  #judge(announced: Announced): ReturnType<PolicyState["decideHost"]> {
    const { policy, hosts, link } = this.#options;
    const { host, party, entry } = announced;
    const { service, cost, precedence } = host;
    const decision = policy.decideHost(party, service);
    if (decision.decision === "allow" && entry === null) {
      announced.entry = hosts.add({ service, party, port: link, cost, precedence }, healthOf(host));
      hosts.setCircuitsElsewhere(announced.entry, host.circuits);
    }
    // A head that is too old takes nothing away.
    if (decision.decision === "deny" && decision.code !== "HEAD_STALE" && entry !== null) {
      announced.entry = null;
      hosts.remove(entry);
    }
    return decision;
  }

  #partyOf(host: LinkHost): Party {
    checkHostOffer(host);
    const party = remoteParty(host, this.#options.link.routerId, this.#options.trustDomain);
    if (party === null) throw new FrameError("PAYLOAD_INVALID", "A host is not a workload of this trust domain.");
    return party;
  }
}

function keyOf({ service, spiffeId }: { readonly service: string; readonly spiffeId: string }): string {
  return `${service} ${spiffeId}`;
}

function healthOf({ up, seenUp }: LinkHost, before: HostHealth = { kind: "unknown" }): HostHealth {
  if (up) return { kind: seenUp ? "up" : "unknown" };
  return before.kind === "down"
    ? before
    : { kind: "down", reason: "Its router says that it does not answer.", sinceUnixMs: Date.now() };
}
