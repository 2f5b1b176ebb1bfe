/** The disk under an audit spool is full: a router's, then a connector's. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openState } from "@sallyport/constellation";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryHome } from "../network/temporary-home.ts";
import { eventually } from "./eventually.ts";
import { echo, FaultNetwork, type ConnectorProcess } from "./fault-network.ts";
import { SmallDisk } from "./small-disk.ts";

const DISK_KIB = 256;
const unavailable = SmallDisk.unavailableBecause;

describe.skipIf(unavailable !== undefined)(
  `a disk that is full${unavailable === undefined ? "" : ` (SKIPPED: ${unavailable})`}`,
  () => {
    const owned = new AsyncDisposableStack();
    let net: FaultNetwork;
    let host: ConnectorProcess;
    let agent: ConnectorProcess;
    let routerDisk: SmallDisk;
    let agentDisk: SmallDisk;

    beforeAll(async () => {
      const home = owned.use(await temporaryHome());
      await openState(home);
      routerDisk = owned.use(await SmallDisk.mount(join(home.stateDir, "router/audit-spool"), DISK_KIB));
      agentDisk = owned.use(await SmallDisk.mount(join(home.folder, "spool/sallyport/spool"), DISK_KIB));
      net = owned.use(await FaultNetwork.start({ home }));
      [host, agent] = await Promise.all([net.connector({ workload: "shelf" }), net.connector({ workload: "agent" })]);
      await host.call("host", echo);
    });

    afterAll(() => owned.disposeAsync());

    test("nothing stops and nothing is lost while the bus takes blocks from memory; it is logged, and the disk is used again when there is room", async () => {
      const router = net.pid("router");
      const held = await agent.call("hold", { service: echo, count: 3 });
      await agent.call("startDialing", { service: echo, parallel: 2 });
      // Again and again: a block that left makes room for another.
      await eventually("the router says that its spool cannot be written", 20_000, async () => {
        await routerDisk.fill();
        return (await routerLog(net)).includes("SPOOL_UNWRITABLE") ? true : undefined;
      });
      await eventually("the workload says so too", 20_000, async () => {
        await agentDisk.fill();
        return (await agent.call("log", null)).some((line) => line.includes("spool cannot be written"))
          ? true
          : undefined;
      });
      const full = await agent.call("stopDialing", null);
      expect(full.failures).toEqual([]);
      await Promise.all([agent, host].map((connector) => connector.call("flushAudit", null)));
      await eventually("every circuit is on record", 20_000, async () =>
        (await net.missingOnRecord(full.circuitIds)).length === 0 ? true : undefined,
      );

      await routerDisk.free();
      await agentDisk.free();
      await agent.call("startDialing", { service: echo, parallel: 1 });
      await eventually("the disks are used again", 10_000, async () =>
        (await routerDisk.usedBytes()) > 0 && (await agentDisk.usedBytes()) > 0 ? true : undefined,
      );
      const free = await agent.call("stopDialing", null);
      expect(free.failures).toEqual([]);
      await agent.call("release", null);
      await Promise.all([agent, host].map((connector) => connector.call("flushAudit", null)));
      await eventually("every circuit is on record", 20_000, async () =>
        (await net.missingOnRecord([...held, ...free.circuitIds])).length === 0 ? true : undefined,
      );
      expect(net.pid("router")).toBe(router);
    });
  },
);

async function routerLog(net: FaultNetwork): Promise<string> {
  return await readFile(join(net.home.stateDir, "logs/router.log"), "utf8");
}
