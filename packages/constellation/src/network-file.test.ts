import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  publicAddresses,
  readNetworkFile,
  runningRouters,
  writeNetworkFile,
  type NetworkFile,
} from "./network-file.ts";

const common = { id: "0123456789abcdef", trustDomain: "acme.example", keyDir: "/keys" };
const ports = { nats: 20_001, ca: 20_002, enrollment: 20_003, enroll: 20_004, policy: 20_005, audit: 20_007 };
const one = { name: "1", listen: "0.0.0.0:8443", publicAddress: "door:8443", grpcPort: 20_006, linkPort: 20_008 };
const two = { ...one, name: "2", grpcPort: 20_009, linkPort: 20_010 };
const three = { ...two, name: "3", publicAddress: "side-door:8443" };

async function inFile(content: unknown, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-test-"));
  try {
    await writeFile(join(folder, "network.json"), JSON.stringify(content));
    await use(join(folder, "network.json"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a file of version 1 keeps all that it says: its router is the first one", async () => {
  const old = {
    version: 1,
    ...common,
    routerListen: one.listen,
    publicAddress: one.publicAddress,
    ports: { ...ports, router: one.grpcPort },
  };
  await inFile(old, async (path) => {
    const read = await readNetworkFile(path);
    expect(read).toEqual({ version: 2, ...common, routers: [{ ...one, linkPort: 0 }], running: 1, ports });
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(old);
  });
});

test("what is written is read again", async () => {
  const network: NetworkFile = { version: 2, ...common, routers: [one, two, three], running: 2, ports };
  await inFile(network, async (path) => {
    await writeNetworkFile(path, network);
    expect(await readNetworkFile(path)).toEqual(network);
  });
});

test("routers beyond those that run are neither started nor told to workloads; a shared address is told once", () => {
  const network: NetworkFile = { version: 2, ...common, routers: [one, two, three], running: 2, ports };
  expect(runningRouters(network)).toEqual([one, two]);
  expect(publicAddresses(network)).toEqual(["door:8443"]);
  expect(publicAddresses({ ...network, running: 3 })).toEqual(["door:8443", "side-door:8443"]);
});

test.each([
  ["no routers", { routers: [] }],
  ["more running than there are", { running: 4 }],
  ["none running", { running: 0 }],
  ["a version to come", { version: 3 }],
])("a file with %s is refused", async (_what, change) => {
  await inFile({ version: 2, ...common, routers: [one, two, three], running: 2, ports, ...change }, async (path) => {
    await expect(readNetworkFile(path)).rejects.toMatchObject({ code: "STATE_INVALID" });
  });
});
