/** A host in a network namespace of its own, which loses its network and gets it back. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";
import { Namespace } from "./namespace.ts";

const unavailable = Namespace.unavailableBecause;

describe.skipIf(unavailable !== undefined)(
  `a network namespace${unavailable === undefined ? "" : ` (SKIPPED: ${unavailable})`}`,
  () => {
    const owned = new AsyncDisposableStack();
    let net: FaultNetwork;
    let namespace: Namespace;
    let host: ConnectorProcess;
    let agent: ConnectorProcess;

    beforeAll(async () => {
      namespace = owned.use(await Namespace.create());
      const listen = `${namespace.gateway}:0`;
      net = owned.use(await FaultNetwork.start({ routers: 2, routerListen: [listen, listen] }));
      [host, agent] = await Promise.all([
        net.connector({ workload: "shelf", within: namespace.command }),
        net.connector({ workload: "agent" }),
      ]);
      await host.call("host", echo);
    });

    afterAll(() => owned.disposeAsync());

    test("cut off, both ends notice within 5 s; rejoined, the connector heals by itself within 30 s, announced once on each router", async () => {
      const held = await agent.call("hold", { service: echo, count: 4 });
      const before = await net.hostsUp();
      const cutAt = Date.now();
      await namespace.cut();
      const noticed = async (who: ConnectorProcess, role: "held" | "hosted"): Promise<true | undefined> =>
        (await who.call("circuits", role)).every(({ end }) => end !== null) ? true : undefined;
      await Promise.all([
        eventually("the dialer knows", 7_000, () => noticed(agent, "held")),
        eventually("the host knows", 7_000, () => noticed(host, "hosted")),
        eventually("the routers know", 7_000, async () => ((await net.hostsUp()) === 0 ? true : undefined)),
      ]);
      const fates = [...(await agent.call("circuits", "held")), ...(await host.call("circuits", "hosted"))];
      expect(fates.filter(({ end }) => end === "ended")).toEqual([]);
      expect(fates).toHaveLength(2 * held.length);
      expect(Math.max(...fates.map(({ endedAtUnixMs }) => endedAtUnixMs - cutAt))).toBeLessThan(6_500);

      await namespace.rejoin();
      await eventually("it is announced as before", 30_000, async () =>
        (await net.hostsUp()) === before ? true : undefined,
      );
      const [again] = await agent.call("hold", { service: echo, count: 1 });
      expect(held).not.toContain(again);
      await agent.call("release", null);
    });
  },
);
