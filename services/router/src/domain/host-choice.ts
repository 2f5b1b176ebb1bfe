/**
 * Which hosts a dial tries, and in which order.
 *
 *   1. Never one that is down. One that was seen to be up goes before one of which nothing is known yet.
 *   2. Then by precedence: the next level is for when none before it is left.
 *   3. Then by cost, plus one for each circuit that the host has, plus what the way to it costs. All three are in one unit, so that a host that is busy
 *      or far away is worth as much less as its owner says that another one costs more.
 *   4. Where a dialer is to stay with a host, rendezvous hashing over the best of 1 and 2 takes the place of 3: the same host for as long as it is
 *      among them, and when it is not, its dialers spread over all others while theirs stay where they are.
 *   5. Between equals the order of `entries` decides: whoever was not chosen for longest comes first.
 */
import { hash } from "node:crypto";
import { Precedence } from "@sallyport/proto/tunnel";
import { isLocal, type HostEntry } from "./host-entry.ts";

/** @param stickyFor who is to stay with a host; null where each dial goes to the best one of its moment */
export function chooseHosts(entries: readonly HostEntry[], stickyFor: string | null): readonly HostEntry[] {
  const usable = entries.filter(({ health, port }) => health.kind !== "down" && port.takesStreams);
  if (usable.length < 2) return usable;
  const load = loads(usable);
  const byCost = new Map(usable.map((entry) => [entry, costOf(entry, load)]));
  const cost = (entry: HostEntry): number => byCost.get(entry) ?? 0;
  const ordered = usable.toSorted(
    (a, b) => rank(a) - rank(b) || cost(a) - cost(b) || Number(isLocal(b)) - Number(isLocal(a)),
  );
  return stickyFor === null ? ordered : stickyFirst(ordered, stickyFor);
}

/** 1, 2 */
function rank({ health, precedence }: HostEntry): number {
  return (health.kind === "up" ? 0 : levels) + level(precedence);
}

const levels = 3;

/** An unspecified one, or one of a later version, is the default. */
function level(precedence: Precedence): number {
  if (precedence === Precedence.PRECEDENCE_REQUIRED) return 0;
  return precedence === Precedence.PRECEDENCE_FAILED ? 2 : 1;
}

/** 3 */
function costOf(entry: HostEntry, load: ReadonlyMap<string, number>): number {
  return entry.cost + (load.get(entry.party.identity.id.uri) ?? 0) + entry.port.wayCost;
}

/** Circuits by host. A workload has tunnels to two routers, so that one host may be here twice: what it carries is the sum. */
function loads(entries: readonly HostEntry[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const entry of entries) {
    const { uri } = entry.party.identity.id;
    // What its router said may be a moment old; what goes there from here is known.
    sums.set(uri, (sums.get(uri) ?? 0) + Math.max(entry.circuits, entry.circuitsElsewhere));
  }
  return sums;
}

/** 4 */
function stickyFirst(ordered: readonly HostEntry[], dialer: string): readonly HostEntry[] {
  const [best] = ordered;
  if (best === undefined) return ordered;
  const top = ordered.filter((entry) => rank(entry) === rank(best));
  const weight = new Map(top.map((entry) => [entry, rendezvous(dialer, entry.party.identity.id.uri)]));
  // Of one host on two ports, the order of cost remains.
  const byWeight = top.toSorted((a, b) => compare(weight.get(b), weight.get(a)));
  return [...byWeight, ...ordered.slice(top.length)];
}

function rendezvous(dialer: string, host: string): string {
  return hash("sha256", `${dialer}\n${host}`, "hex");
}

function compare(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
