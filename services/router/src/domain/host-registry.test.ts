import { Precedence } from "@sallyport/proto/tunnel";
import { expect, test } from "vitest";
import { quietPort, workloadParty } from "../testing/quiet-port.ts";
import type { HostEntry, HostOffer } from "./host-entry.ts";
import { HostRegistry, type HostChange } from "./host-registry.ts";

const ordinary = { service: "files", cost: 0, precedence: Precedence.PRECEDENCE_UNSPECIFIED };

function offerOf(name: string, offer: Partial<HostOffer> = {}): HostOffer {
  return { ...ordinary, party: workloadParty(name), port: quietPort(name), ...offer };
}

function behindLink(name: string, wayCost: number): HostOffer {
  return offerOf(name, { party: workloadParty(name, "spiffe://x/router/2"), port: quietPort("link", { wayCost }) });
}

function names(entries: readonly HostEntry[]): readonly string[] {
  return entries.map(({ party }) => (party.identity.kind === "workload" ? party.identity.name : ""));
}

const down = { kind: "down", reason: "no answer", sinceUnixMs: 1 } as const;

test("dials spread over the hosts of a service", () => {
  const hosts = new HostRegistry();
  for (const name of ["a", "b", "c"]) hosts.add(offerOf(name));
  const firsts = Array.from({ length: 6 }, () => names(hosts.candidates("files"))[0]);
  expect(firsts).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("equals take turns also where others are there that are not equal", () => {
  const hosts = new HostRegistry();
  hosts.add(offerOf("a"));
  hosts.add(offerOf("dear", { cost: 5 }));
  hosts.add(offerOf("b"));
  const firsts = Array.from({ length: 4 }, () => names(hosts.candidates("files"))[0]);
  expect(firsts).toEqual(["a", "b", "a", "b"]);
});

test("an entry is taken back once, and a service without one has no candidates", () => {
  const hosts = new HostRegistry();
  const entry = hosts.add(offerOf("a"));
  expect([hosts.remove(entry), hosts.remove(entry)]).toEqual([true, false]);
  expect(hosts.list()).toEqual([]);
  expect(hosts.candidates("files")).toEqual([]);
});

test("what is up goes before what is unknown, and what is down is never chosen", () => {
  const hosts = new HostRegistry();
  const gone = hosts.add(offerOf("down"));
  hosts.add(offerOf("unknown"));
  const good = hosts.add(offerOf("up", { cost: 1_000 }));
  hosts.setHealth(gone, down);
  hosts.setHealth(good, { kind: "up" });
  expect(names(hosts.candidates("files"))).toEqual(["up", "unknown"]);
});

test("precedence goes before cost: a standby is for when nothing else is there", () => {
  const hosts = new HostRegistry();
  hosts.add(offerOf("standby", { precedence: Precedence.PRECEDENCE_FAILED }));
  hosts.add(offerOf("ordinary", { cost: 5 }));
  const first = hosts.add(offerOf("first", { cost: 9, precedence: Precedence.PRECEDENCE_REQUIRED }));
  hosts.add(offerOf("other", { cost: 4, precedence: Precedence.PRECEDENCE_DEFAULT }));
  expect(names(hosts.candidates("files"))).toEqual(["first", "other", "ordinary", "standby"]);
  hosts.setHealth(first, down);
  expect(names(hosts.candidates("files"))[0]).toBe("other");
});

test("a circuit more weighs as much as a cost of one", () => {
  const hosts = new HostRegistry();
  const cheap = hosts.add(offerOf("cheap"));
  hosts.add(offerOf("dear", { cost: 2 }));
  const chosen: (string | undefined)[] = [];
  for (let dials = 0; dials < 3; dials += 1) {
    chosen.push(names(hosts.candidates("files"))[0]);
    hosts.circuitOpened(cheap);
  }
  expect(chosen).toEqual(["cheap", "cheap", "dear"]);
  hosts.circuitEnded(cheap);
  hosts.circuitEnded(cheap);
  expect(names(hosts.candidates("files"))[0]).toBe("cheap");
});

test("a host on this router goes before one behind a link, until it has more to carry than the way there costs", () => {
  const hosts = new HostRegistry();
  hosts.add(behindLink("far", 3));
  const near = hosts.add(offerOf("near"));
  for (let circuits = 0; circuits <= 3; circuits += 1) {
    expect(names(hosts.candidates("files"))[0]).toBe("near");
    hosts.circuitOpened(near);
  }
  expect(names(hosts.candidates("files"))[0]).toBe("far");
});

test("of two hosts behind links the one by the quicker link is chosen", () => {
  const hosts = new HostRegistry();
  hosts.add(behindLink("slow", 40));
  hosts.add(behindLink("quick", 2));
  expect(names(hosts.candidates("files"))).toEqual(["quick", "slow"]);
});

test("what a host carries on another router counts too, and on both of its ports", () => {
  const hosts = new HostRegistry();
  const far = hosts.add(behindLink("twice", 1));
  hosts.add(offerOf("twice"));
  hosts.add(offerOf("once", { cost: 3 }));
  expect(names(hosts.candidates("files"))[0]).toBe("twice");
  hosts.setCircuitsElsewhere(far, 4);
  expect(names(hosts.candidates("files"))[0]).toBe("once");
});

test("a port that takes no streams is passed over", () => {
  const hosts = new HostRegistry();
  hosts.add(offerOf("full", { port: quietPort("full", { takesStreams: false }) }));
  hosts.add(offerOf("free"));
  expect(names(hosts.candidates("files"))).toEqual(["free"]);
});

test("a sticky dialer stays with its host, moves when that one is down, and comes back; others stay where they are", () => {
  const hosts = new HostRegistry();
  const entries = new Map(["a", "b", "c", "d"].map((name) => [name, hosts.add(offerOf(name))]));
  const dialers = Array.from({ length: 40 }, (_, index) => `spiffe://x/workload/agent/${index}`);
  const choice = (): readonly (string | undefined)[] =>
    dialers.map((dialer) => names(hosts.candidates("files", dialer))[0]);
  const before = choice();
  expect(choice()).toEqual(before);
  expect(new Set(before).size).toBe(4);
  const lost = entries.get("b");
  if (lost === undefined) throw new Error("no such host");
  hosts.setHealth(lost, down);
  for (const [at, name] of choice().entries()) {
    if (before[at] === "b") expect(name).not.toBe("b");
    else expect(name).toBe(before[at]);
  }
  hosts.setHealth(lost, { kind: "unknown" });
  expect(choice()).toEqual(before);
});

test("a sticky dialer does not stay with a standby", () => {
  const hosts = new HostRegistry();
  hosts.add(offerOf("standby", { precedence: Precedence.PRECEDENCE_FAILED }));
  hosts.add(offerOf("ordinary"));
  for (let dialer = 0; dialer < 20; dialer += 1)
    expect(names(hosts.candidates("files", String(dialer)))).toEqual(["ordinary", "standby"]);
});

test("who listens hears what changed, and nothing where nothing did", () => {
  const hosts = new HostRegistry();
  const heard: HostChange["kind"][] = [];
  hosts.onChange(({ kind }) => heard.push(kind));
  const entry = hosts.add(offerOf("a"));
  hosts.setHealth(entry, { kind: "up" });
  hosts.setHealth(entry, { kind: "up" });
  hosts.setPreference(entry, { cost: 0, precedence: Precedence.PRECEDENCE_UNSPECIFIED });
  hosts.setPreference(entry, { cost: 7, precedence: Precedence.PRECEDENCE_UNSPECIFIED });
  hosts.circuitOpened(entry);
  hosts.setCircuitsElsewhere(entry, 0);
  hosts.remove(entry);
  hosts.setHealth(entry, down);
  expect(heard).toEqual(["added", "changed", "changed", "load", "removed"]);
});
