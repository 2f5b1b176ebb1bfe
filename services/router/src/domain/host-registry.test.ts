import { expect, test } from "vitest";
import { HostRegistry } from "./host-registry.ts";

test("dials spread over the hosts of a service", () => {
  const hosts = new HostRegistry<string>();
  for (const tunnel of ["a", "b", "c"]) hosts.add({ service: "files", tunnel, sinceUnixMs: 0 });
  const firsts = Array.from({ length: 6 }, () => hosts.candidates("files")[0]?.tunnel);
  expect(firsts).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("a tunnel offers a service once, and takes it back once", () => {
  const hosts = new HostRegistry<string>();
  const entry = { service: "files", tunnel: "a", sinceUnixMs: 0 };
  expect([hosts.add(entry), hosts.add(entry)]).toEqual([true, false]);
  expect([hosts.remove("files", "a"), hosts.remove("files", "a")]).toEqual([true, false]);
  expect(hosts.list()).toEqual([]);
  expect(hosts.candidates("files")).toEqual([]);
});
