/** Connections that swallow everything without a word: a link between two routers, and the tunnel of a workload. */
import { openState, readNetworkFile } from "@sallyport/constellation";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { temporaryHome } from "../network/temporary-home.ts";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork } from "./fault-network.ts";
import { Relay, type HostPort } from "./relay.ts";

/** Five seconds, and what a busy machine adds. */
const NOTICED_WITHIN_MS = 6_500;

const owned = new AsyncDisposableStack();
let net: FaultNetwork;
/** In front of router 2's link port, where router 1 comes in. */
let link: Relay;
/** In front of the two routers' public ports. */
let tunnels: readonly Relay[];

beforeAll(async () => {
  const home = owned.use(await temporaryHome());
  const { routers } = await openState({ ...home, routers: 2, routerListen: ["127.0.0.1:0", "127.0.0.1:0"] });
  link = owned.use(await Relay.listen(async () => ({ host: "127.0.0.1", port: await linkPortOf(home.stateDir, 1) })));
  tunnels = await Promise.all(
    routers.map(async ({ listen }) => owned.use(await Relay.listen(() => Promise.resolve(hostPortOf(listen))))),
  );
  const own = `127.0.0.1:${routers[0].linkPort}`;
  net = owned.use(await FaultNetwork.start({ home, linkAddresses: [own, link.address] }));
  await net.untilLinked(20_000);
});

afterAll(() => owned.disposeAsync());

test("a link that swallows everything is given up within 5 s: its circuits end at both ends, dials go elsewhere, and it comes back", async () => {
  const [one, two] = net.network.routerAddresses;
  // One host on router 1, reached over the link from router 2; another one joins on router 2.
  const far = await net.connector({ workload: "shelf", routers: [one ?? ""] });
  await far.call("host", echo);
  const agent = await net.connector({ workload: "agent", routers: [two ?? ""] });
  const overLink = await eventually("a circuit over the link", 10_000, async () =>
    agent.call("hold", { service: echo, count: 4 }),
  );
  for (const name of ["1", "2"]) expect([...(await net.circuitsOn(name))].toSorted()).toEqual(overLink.toSorted());
  const near = await net.connector({ workload: "shelf", routers: [two ?? ""] });
  await near.call("host", echo);
  await net.untilHosts("2", 1, 5_000);

  const cutAt = Date.now();
  link.blackhole();
  const fates = await eventually(
    "the ends of the circuits, at dialer and host",
    NOTICED_WITHIN_MS + 1_000,
    async () => {
      const ends = [...(await agent.call("circuits", "held")), ...(await far.call("circuits", "hosted"))];
      return ends.every(({ end }) => end !== null) ? ends : undefined;
    },
  );
  expect(fates).toHaveLength(2 * overLink.length);
  expect(fates.filter(({ end }) => end === "ended")).toEqual([]);
  expect(Math.max(...fates.map(({ endedAtUnixMs }) => endedAtUnixMs - cutAt))).toBeLessThan(NOTICED_WITHIN_MS);

  const [elsewhere] = await agent.call("hold", { service: echo, count: 1 });
  expect(await net.circuitsOn("1")).toEqual(new Set());
  expect(await net.circuitsOn("2")).toEqual(new Set([elsewhere]));

  link.heal();
  await net.untilLinked(20_000);
  await agent.call("release", null);
});

test("a tunnel that swallows everything is given up by both sides within 5 s", async () => {
  const agent = await net.connector({ workload: "crowd", routers: tunnels.map(({ address }) => address) });
  const before = await net.tunnelsOf("crowd");
  expect(before).toBeGreaterThan(0);
  const cutAt = performance.now();
  const held = await agent.call("hold", { service: echo, count: 2 });
  for (const relay of tunnels) relay.blackhole();
  await Promise.all([
    eventually("the routers gave it up", NOTICED_WITHIN_MS, async () =>
      (await net.tunnelsOf("crowd")) === 0 ? true : undefined,
    ),
    eventually("the workload gave it up", NOTICED_WITHIN_MS, async () => {
      const fates = await agent.call("circuits", "held");
      return fates.length === held.length && fates.every(({ end }) => end !== null) ? true : undefined;
    }),
  ]);
  expect(performance.now() - cutAt).toBeGreaterThan(2_000);

  for (const relay of tunnels) relay.heal();
  await eventually("the workload is back", 20_000, async () => ((await net.tunnelsOf("crowd")) > 0 ? true : undefined));
  await agent.call("hold", { service: echo, count: 1 });
});

/** Ports of the private side may have moved by the start. */
async function linkPortOf(stateDir: string, at: number): Promise<number> {
  const file = await readNetworkFile(join(stateDir, "network.json"));
  return file?.routers[at]?.linkPort ?? 0;
}

function hostPortOf(address: string): HostPort {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}
