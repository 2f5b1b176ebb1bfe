import { Control, Precedence, type HostsDelta, type HostsSnapshot } from "@sallyport/proto/tunnel";
import { MAX_PAYLOAD_BYTES } from "@sallyport/frame";
import { expect, onTestFinished, test, vi } from "vitest";
import type { HostEntry } from "../domain/host-entry.ts";
import { HostRegistry } from "../domain/host-registry.ts";
import { quietPort, workloadParty } from "../testing/quiet-port.ts";
import { HostAnnouncer, type AnnouncedTo } from "./host-announcer.ts";

class HeardLink implements AnnouncedTo {
  readonly messages: Control[] = [];

  sendControl(message: Control): void {
    this.messages.push(message);
  }

  get snapshots(): readonly HostsSnapshot[] {
    return this.messages.flatMap(({ message }) => (message?.$case === "hostsSnapshot" ? [message.value] : []));
  }

  get deltas(): readonly HostsDelta[] {
    return this.messages.flatMap(({ message }) => (message?.$case === "hostsDelta" ? [message.value] : []));
  }

  get sequences(): readonly number[] {
    return [...this.snapshots, ...this.deltas].map(({ sequence }) => sequence);
  }
}

interface Announcing {
  readonly hosts: HostRegistry;
  readonly announcer: HostAnnouncer;
  readonly offer: (service: string, workload: string, portId?: string, routerId?: string) => HostEntry;
}

function announcing(): Announcing {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const hosts = new HostRegistry();
  const announcer = new HostAnnouncer({ hosts, routerEpoch: 9, gatherMs: 20, gatherLoadMs: 1_000 });
  onTestFinished(() => announcer[Symbol.dispose]());
  const offer = (service: string, workload: string, portId = workload, routerId?: string): HostEntry =>
    hosts.add({
      service,
      party: workloadParty(workload, routerId ?? null),
      port: quietPort(portId),
      cost: 0,
      precedence: Precedence.PRECEDENCE_DEFAULT,
    });
  return { hosts, announcer, offer };
}

test("a link hears first of everything, then of each change, with the epoch and without a gap", () => {
  const { hosts, announcer, offer } = announcing();
  const there = offer("files", "a");
  const link = new HeardLink();
  announcer.begin(link);
  expect(link.snapshots).toMatchObject([{ routerEpoch: 9, sequence: 1, hosts: [{ service: "files", up: true }] }]);
  offer("files", "b");
  vi.advanceTimersByTime(20);
  hosts.remove(there);
  vi.advanceTimersByTime(20);
  expect(link.deltas).toMatchObject([
    { routerEpoch: 9, changed: [{ spiffeId: expect.stringContaining("/b/") }], gone: [] },
    { changed: [], gone: [{ spiffeId: expect.stringContaining("/a/") }] },
  ]);
  expect(link.sequences).toEqual([1, 2, 3]);
});

test("changes that come together are one message, and what comes and goes within it is told as gone", () => {
  const { hosts, announcer, offer } = announcing();
  const link = new HeardLink();
  announcer.begin(link);
  for (const name of ["a", "b", "c"]) offer("files", name);
  hosts.remove(offer("files", "d"));
  vi.advanceTimersByTime(20);
  expect(link.deltas.map(({ changed, gone }) => [changed.length, gone.length])).toEqual([
    [0, 1],
    [3, 0],
  ]);
});

test("what a host carries is told more rarely than that it is there", () => {
  const { hosts, announcer, offer } = announcing();
  const entry = offer("files", "a");
  const link = new HeardLink();
  announcer.begin(link);
  for (let circuits = 0; circuits < 100; circuits += 1) hosts.circuitOpened(entry);
  vi.advanceTimersByTime(999);
  expect(link.deltas).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(link.deltas).toMatchObject([{ changed: [{ circuits: 100 }] }]);
});

test("what was heard over a link is never passed on, not even beside an own tunnel of the same host", () => {
  const { hosts, announcer, offer } = announcing();
  offer("files", "a", "link", "spiffe://x/router/2");
  const link = new HeardLink();
  announcer.begin(link);
  expect(link.snapshots).toMatchObject([{ hosts: [] }]);
  hosts.remove(offer("files", "a"));
  const far = offer("files", "b", "link", "spiffe://x/router/2");
  hosts.setHealth(far, { kind: "up" });
  vi.advanceTimersByTime(20);
  expect(link.deltas).toMatchObject([{ changed: [], gone: [{ spiffeId: expect.stringContaining("/a/") }] }]);
});

test("a workload with two tunnels here is one host: up where one of them is, gone when both are, with the sum of its circuits", () => {
  const { hosts, announcer, offer } = announcing();
  const [old, fresh] = [offer("files", "a", "old"), offer("files", "a", "fresh")];
  const link = new HeardLink();
  announcer.begin(link);
  expect(link.snapshots[0]?.hosts).toHaveLength(1);
  hosts.setHealth(old, { kind: "down", reason: "", sinceUnixMs: 0 });
  hosts.circuitOpened(old);
  hosts.circuitOpened(fresh);
  vi.advanceTimersByTime(20);
  expect(link.deltas.at(-1)).toMatchObject({ changed: [{ up: true, circuits: 2 }], gone: [] });
  hosts.remove(old);
  vi.advanceTimersByTime(20);
  expect(link.deltas.at(-1)).toMatchObject({ changed: [{ up: true, circuits: 1 }], gone: [] });
  hosts.remove(fresh);
  vi.advanceTimersByTime(20);
  expect(link.deltas.at(-1)).toMatchObject({ changed: [], gone: [{ service: "files" }] });
});

test("no message is larger than a frame, however many hosts there are", () => {
  const { announcer, offer } = announcing();
  for (let at = 0; at < 500; at += 1) offer(`service-${"x".repeat(40)}-${at}`, `workload-${at}`);
  const link = new HeardLink();
  announcer.begin(link);
  expect(link.deltas.length).toBeGreaterThan(5);
  for (const message of link.messages)
    expect(Control.encode(message).finish().length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
  const told = [...(link.snapshots[0]?.hosts ?? []), ...link.deltas.flatMap(({ changed }) => changed)];
  expect(told).toHaveLength(500);
});

test("a link that ended hears no more", () => {
  const { announcer, offer } = announcing();
  const link = new HeardLink();
  announcer.begin(link);
  announcer.end(link);
  offer("files", "a");
  vi.advanceTimersByTime(1_000);
  expect(link.deltas).toEqual([]);
});
