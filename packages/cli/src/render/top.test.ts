import { Figures, Link, LinkState } from "@sallyport/proto/router";
import pc from "picocolors";
import { expect, test } from "vitest";
import { ratesOf } from "../top/rates.ts";
import type { RouterView } from "../top/router-view.ts";
import { renderTop, topJson, topLine } from "./top.ts";

const plain = pc.createColors(false);
const now = Date.UTC(2026, 10, 23, 16, 30, 6);

function live(change: Partial<Figures> = {}, links: readonly Link[] = []): RouterView {
  const before = Figures.create({ timeUnixMs: now - 1_000 });
  const figures = Figures.create({
    timeUnixMs: now,
    tunnels: 3,
    circuits: 2,
    hosts: 2,
    hostsUp: 1,
    links: links.length,
    bytesForwarded: 12_340_000,
    circuitsOpened: 7,
    residentBytes: 134_217_728,
    eventLoopDelayP99Ms: 1.25,
    ...change,
  });
  return { kind: "live", name: "1", figures, rates: ratesOf(before, figures), links };
}

function view(...routers: readonly RouterView[]): Parameters<typeof renderTop>[0] {
  return { network: "sallyport.local", routers, now };
}

test("each router has a line, one that is away says why, and what there is not takes no room", () => {
  const away: RouterView = { kind: "away", name: "2", why: "no answer in time" };
  const lines = renderTop(view(live(), away), 200, plain);
  expect(lines[0]).toBe("sallyport.local  2 routers  16:30:06 UTC  q leaves");
  expect(lines[3]).toMatch(/^1 +up +0 % +128\.0 MiB +1\.3 ms +3 +2 +1\/2 +12\.3 +7\.0 +0 +0 +0 B$/);
  expect(lines.slice(4)).toEqual(["2       away", "router 2 is away: no answer in time"]);
});

test("links, the busiest, and what was shed follow", () => {
  const circuit = {
    circuitId: "c",
    service: "files",
    dialerId: "spiffe://sallyport.local/workload/agent/a1",
    hostId: "spiffe://sallyport.local/workload/shelf/s1",
    bytesFromDialer: 1_024,
    bytesFromHost: 1_024,
  };
  const figures = Figures.fromPartial({
    busiestCircuits: [{ circuit, bytesPerSecond: 3_000_000 }],
    busiestWorkloads: [{ spiffeId: circuit.dialerId, bytesPerSecond: 3_000_000, circuits: 1 }],
    shed: { maxTunnels: 4 },
  });
  const { busiestCircuits, busiestWorkloads, shed } = figures;
  const link = Link.create({
    routerId: "spiffe://sallyport.local/router/2",
    state: LinkState.LINK_STATE_UP,
    roundTripMs: 0.81,
    streams: 5,
    hosts: 9,
  });
  const text = renderTop(view(live({ busiestCircuits, busiestWorkloads, shed }, [link])), 200, plain).join("\n");
  expect(text).toMatch(/Links\nFROM .*\n1 +router\/2 +up +0\.8 ms +5 +9 +0 B/);
  expect(text).toMatch(/Busiest circuits\nSERVICE .*\nfiles +agent\/a1 +shelf\/s1 +3\.00 +2\.0 KiB +1/);
  expect(text).toMatch(/Busiest workloads\nWORKLOAD .*\nagent\/a1 +3\.00 +1 +1/);
  expect(text).toMatch(/Shed or ended by a limit, since the start\nLIMIT .*\nmaxTunnels +4 +1/);
});

test("no line is wider than the terminal, and a router that leaves says so", () => {
  const drain = { deadlineUnixMs: now, drained: false, sinceUnixMs: now, askedBy: "", reason: "" };
  const lines = renderTop(view(live({ drain })), 30, plain);
  expect(Math.max(...lines.map((line) => line.length))).toBe(30);
  expect(lines[3]).toContain("draining");
});

test("names from the network cannot move the cursor", () => {
  const forged = "\u001b[2Jx\r";
  const busiest = Figures.fromPartial({
    busiestCircuits: [{ circuit: { service: forged, dialerId: forged, hostId: forged }, bytesPerSecond: 1 }],
    busiestWorkloads: [{ spiffeId: forged, bytesPerSecond: 1, circuits: 1 }],
    shed: { [forged]: 1 },
  });
  const { busiestCircuits, busiestWorkloads, shed } = busiest;
  const link = Link.create({ routerId: forged, lastFailure: forged });
  const away: RouterView = { kind: "away", name: forged, why: forged };
  const lines = renderTop(view(live({ busiestCircuits, busiestWorkloads, shed }, [link]), away), 500, plain);
  for (const line of [...lines, topLine(away, now)]) expect(line).not.toMatch(/\p{Cc}/u);
});

test("a line for whoever is no terminal, and an object for a program", () => {
  expect(topLine(live(), now)).toBe(
    "16:30:06 router 1  cpu 0%  memory 128.0 MiB  loop 1.3 ms  tunnels 3  circuits 2  hosts 1/2 up  links 0  12.3 MB/s  opens 7.0/s  refused 0/s  shed 0/s",
  );
  expect(topJson(live())).toMatchObject({ router: "1", ok: true, tunnels: 3, rates: { opensPerSecond: 7 } });
  expect(topJson({ kind: "away", name: "1", why: "gone" })).toEqual({ router: "1", ok: false, why: "gone" });
});
