/** Networks of several routers on one machine, from one start to the next. */
import { join } from "node:path";
import { readNetworkFile, startNetwork, type Network, type StartOptions } from "@sallyport/constellation";
import { LinkState } from "@sallyport/proto/router";
import { afterAll, beforeAll, expect, test } from "vitest";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";

let home: TemporaryHome;
let network: Network;

beforeAll(async () => {
  home = await temporaryHome();
  network = await start({ routers: 2 });
});

afterAll(async () => {
  await network?.stop();
  await home?.[Symbol.asyncDispose]();
});

async function start(options: Partial<StartOptions> = {}): Promise<Network> {
  const { stateDir, keyDir, env } = home;
  return await startNetwork({ stateDir, keyDir, env, ...options });
}

async function routerIds({ admin }: Network): Promise<readonly string[]> {
  const answers = await Promise.all(admin.routers.map(({ client }) => client.getStatus({})));
  return answers.map(({ routerId }) => routerId);
}

/** Resolves when every router has a link to every other one. A router that was just started may not answer yet. */
async function linked({ admin: { routers } }: Network): Promise<void> {
  const deadline = Date.now() + 20_000;
  const ends = async (): Promise<number> => {
    const lists = await Promise.all(routers.map(({ client }) => client.listLinks({})));
    return lists.flatMap(({ links }) => links).filter(({ state }) => state === LinkState.LINK_STATE_UP).length;
  };
  while ((await ends().catch(() => 0)) !== routers.length * (routers.length - 1)) {
    if (Date.now() > deadline) throw new Error("the routers were not linked within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("two routers run on one public port, each with an identity of its own, and are linked", async () => {
  expect(Object.keys(network.pids).filter((name) => name.startsWith("router"))).toEqual(["router", "router-2"]);
  expect(network.routerAddresses).toEqual([network.routerAddress]);
  expect(await routerIds(network)).toEqual(["spiffe://sallyport.local/router/1", "spiffe://sallyport.local/router/2"]);
  await linked(network);
});

test("a router that is restarted on request comes back as the same one, in another process, and is linked again", async () => {
  const pid = network.pids["router-2"];
  const [, second] = network.admin.routers;
  const before = await second?.client.getStatus({});
  await network.restart("router-2");
  expect(network.pids["router-2"]).not.toBe(pid);
  await linked(network);
  const after = await second?.client.getStatus({});
  expect(after?.routerId).toBe(before?.routerId);
  expect(after?.epoch).not.toBe(before?.epoch);
});

test("the next start has as many; a later one more, or fewer, and who comes back is who it was", async () => {
  const address = network.routerAddress;
  const file = async (): Promise<unknown> => await readNetworkFile(join(home.stateDir, "network.json"));
  await network.stop();
  network = await start();
  expect(await routerIds(network)).toHaveLength(2);

  await network.stop();
  network = await start({ routers: 3 });
  expect(await routerIds(network)).toContain("spiffe://sallyport.local/router/3");
  await linked(network);

  await network.stop();
  network = await start({ routers: 1 });
  expect(await routerIds(network)).toEqual(["spiffe://sallyport.local/router/1"]);
  expect(network.routerAddress).toBe(address);
  expect(await file()).toMatchObject({ running: 1, routers: [{ name: "1" }, { name: "2" }, { name: "3" }] });

  await network.stop();
  network = await start({ routers: 3 });
  expect(await routerIds(network)).toHaveLength(3);
});
