/**
 * Tells other routers which hosts this one has on its own tunnels, and what changes.
 *
 *   1. Only hosts on own tunnels: what was heard over a link is never passed on, so that there is one hop and no loop.
 *   2. Each link has a sequence of its own: a snapshot, then deltas, none lost and none twice.
 *   3. A message is at most one frame: what does not fit one goes on in the next.
 *   4. A workload that offers a service on several tunnels here is one host to others.
 */
import { MAX_PAYLOAD_BYTES } from "@sallyport/frame";
import { type Control, HostsDelta, HostsSnapshot, type LinkHost, type LinkHostRef } from "@sallyport/proto/tunnel";
import { isLocal, type HostEntry } from "../domain/host-entry.ts";
import type { HostChange, HostRegistry } from "../domain/host-registry.ts";

/** Where announcements go: a link. */
export interface AnnouncedTo {
  sendControl(message: Control): void;
}

export interface HostAnnouncerOptions {
  readonly hosts: HostRegistry;
  /** Of this router's boot. */
  readonly routerEpoch: number;
  /** Changes of this long are one message. */
  readonly gatherMs: number;
  /** The same for how much hosts carry, which changes with every circuit. */
  readonly gatherLoadMs: number;
}

/** Left for the rest of a message. */
const messageBytes = MAX_PAYLOAD_BYTES - 256;
/** Of a host beside its names, at most; and of one issuer. */
const fixedBytes = 160;
const issuerBytes = 72;

export class HostAnnouncer implements Disposable {
  readonly #options: HostAnnouncerOptions;
  readonly #sequences = new Map<AnnouncedTo, number>();
  readonly #touched = new Map<string, LinkHostRef>();
  readonly #stop: () => void;
  #timer: { readonly handle: NodeJS.Timeout; readonly dueAtMs: number } | null = null;

  constructor(options: HostAnnouncerOptions) {
    this.#options = options;
    this.#stop = options.hosts.onChange((change) => this.#note(change));
  }

  /** From now on `link` hears of this router's hosts. */
  begin(link: AnnouncedTo): void {
    const hosts = [...ownOffers(this.#options.hosts.list()).values()].map(announcementOf);
    const [first = [], ...rest] = parts(hosts);
    this.#sequences.set(link, 0);
    const snapshot = HostsSnapshot.create({ ...this.#next(link), hosts: first });
    link.sendControl({ message: { $case: "hostsSnapshot", value: snapshot } });
    for (const changed of rest) this.#sendDelta(link, changed, []);
  }

  end(link: AnnouncedTo): void {
    this.#sequences.delete(link);
  }

  [Symbol.dispose](): void {
    this.#stop();
    clearTimeout(this.#timer?.handle);
  }

  #note({ kind, entry }: HostChange): void {
    // A link that comes later begins with a snapshot.
    if (!isLocal(entry) || this.#sequences.size === 0) return;
    this.#touched.set(keyOf(entry), refOf(entry));
    this.#schedule(kind === "load" ? this.#options.gatherLoadMs : this.#options.gatherMs);
  }

  #schedule(inMs: number): void {
    const dueAtMs = performance.now() + inMs;
    if (this.#timer !== null && this.#timer.dueAtMs <= dueAtMs) return;
    clearTimeout(this.#timer?.handle);
    this.#timer = { handle: setTimeout(() => this.#announce(), inMs).unref(), dueAtMs };
  }

  #announce(): void {
    this.#timer = null;
    const refs = [...this.#touched.values()];
    this.#touched.clear();
    const services = new Set(refs.map(({ service }) => service));
    const offers = ownOffers([...services].flatMap((service) => this.#options.hosts.of(service)));
    const changed: LinkHost[] = [];
    const gone: LinkHostRef[] = [];
    for (const ref of refs) {
      const ofHost = offers.get(keyFrom(ref));
      if (ofHost === undefined) gone.push(ref);
      else changed.push(announcementOf(ofHost));
    }
    for (const link of this.#sequences.keys()) {
      for (const part of parts(gone)) this.#sendDelta(link, [], part);
      for (const part of parts(changed)) this.#sendDelta(link, part, []);
    }
  }

  #sendDelta(link: AnnouncedTo, changed: LinkHost[], gone: LinkHostRef[]): void {
    const delta = HostsDelta.create({ ...this.#next(link), changed, gone });
    link.sendControl({ message: { $case: "hostsDelta", value: delta } });
  }

  /** 2 */
  #next(link: AnnouncedTo): { readonly routerEpoch: number; readonly sequence: number } {
    const sequence = (this.#sequences.get(link) ?? 0) + 1;
    this.#sequences.set(link, sequence);
    return { routerEpoch: this.#options.routerEpoch, sequence };
  }
}

/** By service and host, at least one each (1, 4). */
function ownOffers(entries: readonly HostEntry[]): ReadonlyMap<string, readonly [HostEntry, ...HostEntry[]]> {
  const offers = new Map<string, [HostEntry, ...HostEntry[]]>();
  for (const entry of entries.filter(isLocal)) {
    const known = offers.get(keyOf(entry));
    if (known === undefined) offers.set(keyOf(entry), [entry]);
    else known.push(entry);
  }
  return offers;
}

/** What is announced of one host for one service (4): as it offers it on its newest tunnel, with what it carries on all of them. */
function announcementOf(offers: readonly [HostEntry, ...HostEntry[]]): LinkHost {
  const [first, ...others] = offers;
  const newest = others.reduce((best, entry) => (entry.sinceUnixMs >= best.sinceUnixMs ? entry : best), first);
  const { party, cost, precedence } = newest;
  return {
    ...refOf(newest),
    serial: party.serial,
    issuers: [...party.issuers],
    cost,
    precedence,
    up: offers.some(({ health }) => health.kind !== "down"),
    seenUp: offers.some(({ health }) => health.kind === "up"),
    circuits: offers.reduce((sum, { circuits }) => sum + circuits, 0),
  };
}

function refOf({ service, party }: HostEntry): LinkHostRef {
  return { service, spiffeId: party.identity.id.uri };
}

function keyOf(entry: HostEntry): string {
  return keyFrom(refOf(entry));
}

function keyFrom({ service, spiffeId }: LinkHostRef): string {
  return `${service} ${spiffeId}`;
}

/** 3 */
function parts<T extends LinkHostRef & { readonly issuers?: readonly string[] }>(all: readonly T[]): T[][] {
  const cut: T[][] = [];
  let last: T[] = [];
  let bytes = 0;
  for (const one of all) {
    const names = Buffer.byteLength(one.service) + Buffer.byteLength(one.spiffeId);
    const size = names + fixedBytes + (one.issuers?.length ?? 0) * issuerBytes;
    if (last.length === 0 || bytes + size > messageBytes) {
      last = [];
      cut.push(last);
      bytes = 0;
    }
    last.push(one);
    bytes += size;
  }
  return cut;
}
