import { expect, test } from "vitest";
import { quietPort, workloadParty } from "../testing/quiet-port.ts";
import { HostRegistry, type HostEntry } from "./host-registry.ts";

function entryOf(portId: string): HostEntry {
  return { service: "files", party: workloadParty(portId), port: quietPort(portId), sinceUnixMs: 0 };
}

test("dials spread over the hosts of a service", () => {
  const hosts = new HostRegistry();
  for (const portId of ["a", "b", "c"]) hosts.add(entryOf(portId));
  const firsts = Array.from({ length: 6 }, () => hosts.candidates("files")[0]?.port.portId);
  expect(firsts).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("a tunnel offers a service once, and takes it back once", () => {
  const hosts = new HostRegistry();
  const entry = entryOf("a");
  expect([hosts.add(entry), hosts.add(entry)]).toEqual([true, false]);
  expect([hosts.remove("files", entry.port), hosts.remove("files", entry.port)]).toEqual([true, false]);
  expect(hosts.list()).toEqual([]);
  expect(hosts.candidates("files")).toEqual([]);
});
