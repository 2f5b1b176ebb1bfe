/**
 * A network of real processes that a test may harm: routers, a policy with one TCP service, connectors in processes of their own.
 */
import { join } from "node:path";
import { Sallyport } from "@sallyport/first-light";
import { enroll, type BaseFolders } from "@sallyport/connector";
import { startNetwork, type AdminClients, type Network, type StartOptions } from "@sallyport/constellation";
import { Filter, type Event } from "@sallyport/proto/audit";
import { PolicyDocument, Service } from "@sallyport/proto/policy";
import {
  HostHealth,
  LinkState,
  type Host,
  ListCircuitsRequest,
  ListHostsRequest,
  ListTunnelsRequest,
} from "@sallyport/proto/router";
import { startWorker, type Worker } from "@sallyport/testing";
import { launcher } from "../network/test-stage.ts";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";
import type { ConnectorWorkerApi } from "./connector-worker-api.ts";
import { eventually } from "./eventually.ts";

/** A TCP service, and one of MCP. */
export const echo = "echo";
export const tools = "tools";
const SEARCH_LIMIT = 1_000;

const policy = PolicyDocument.create({
  cedarFiles: {
    "main.cedar": `
@id("clients-dial") permit (principal in Sallyport::Role::"client", action == Sallyport::Action::"dial", resource);
@id("clients-call") permit (principal in Sallyport::Role::"client", action == Sallyport::Action::"callTool", resource in Sallyport::Service::"${tools}");
@id("servers-host") permit (principal in Sallyport::Role::"server", action == Sallyport::Action::"host", resource);
`,
  },
  workloads: [
    { name: "agent", roles: ["client"] },
    { name: "crowd", roles: ["client"] },
    { name: "shelf", roles: ["server"] },
  ],
  services: [Service.create({ name: echo, protocol: "tcp" }), Service.create({ name: tools, protocol: "mcp" })],
});

export interface ConnectorOptions {
  readonly workload: "agent" | "shelf" | "crowd";
  /** Default: those of the profile. */
  readonly routers?: readonly string[];
  /** A command that the process is started by, such as `ip netns exec <name>`. */
  readonly within?: readonly string[];
}

export type ConnectorProcess = Worker<ConnectorWorkerApi>;
export type RouterClient = AdminClients["router"];

export class FaultNetwork implements AsyncDisposable {
  readonly home: TemporaryHome;
  readonly network: Network;
  /** The `sallyport` command, as this network's administrator. */
  readonly sallyport: Sallyport;
  readonly #owned: AsyncDisposableStack;
  #enrolled = 0;

  private constructor(home: TemporaryHome, network: Network, owned: AsyncDisposableStack) {
    this.home = home;
    this.network = network;
    this.#owned = owned;
    this.sallyport = new Sallyport({ launcher, env: { ...home.env, SALLYPORT_STATE: home.stateDir } });
  }

  static async start(options: Partial<StartOptions> & { readonly home?: TemporaryHome } = {}): Promise<FaultNetwork> {
    await using opening = new AsyncDisposableStack();
    const { home = opening.use(await temporaryHome()), ...rest } = options;
    const { stateDir, keyDir, env } = home;
    const network = opening.use(await startNetwork({ stateDir, keyDir, env, ...rest }));
    await network.admin.policy.applyPolicy({ document: policy, expectedVersion: 0, dryRun: false });
    return new FaultNetwork(home, network, opening.move());
  }

  get admin(): AdminClients {
    return this.network.admin;
  }

  /** The router called `name`. */
  router(name: string): RouterClient {
    const found = this.admin.routers.find((router) => router.name === name);
    if (found === undefined) throw new Error(`no router ${name}`);
    return found.client;
  }

  pid(process: string): number {
    const pid = this.network.pids[process];
    if (pid === undefined) throw new Error(`${process} does not run`);
    return pid;
  }

  stateFolder(process: string): string {
    return join(this.home.stateDir, process);
  }

  /** A new instance of the workload; the name of its profile. */
  async enroll(workload: string): Promise<string> {
    const profile = `${workload}-${(this.#enrolled += 1)}`;
    const { token } = await this.admin.enrollment.createToken({ workload, ttlSeconds: 0, keyThumbprint: "" });
    await enroll({ token, profile, folders: this.folders });
    return profile;
  }

  /** A new instance of the workload in a process of its own, with a tunnel. */
  async connector({ workload, routers, within = [] }: ConnectorOptions): Promise<ConnectorProcess> {
    const profile = await this.enroll(workload);
    const worker = this.#owned.use(
      startWorker<ConnectorWorkerApi>(join(import.meta.dirname, "connector-worker.ts"), [], within),
    );
    await worker.call("open", {
      profile,
      folders: this.folders,
      ...(routers === undefined ? {} : { routers }),
    });
    return worker;
  }

  get folders(): BaseFolders {
    const { folder } = this.home;
    return {
      configHome: join(folder, "config"),
      dataHome: join(folder, "data"),
      stateHome: join(folder, "spool"),
    };
  }

  /** Ids of the circuits that the router carries. */
  async circuitsOn(name: string): Promise<ReadonlySet<string>> {
    const { circuits } = await this.router(name).listCircuits(ListCircuitsRequest.create());
    return new Set(circuits.map(({ circuitId }) => circuitId));
  }

  /** Hosts on the router's own tunnels that may be up. */
  async hostsOf(name: string): Promise<readonly Host[]> {
    const { hosts } = await this.router(name).listHosts(ListHostsRequest.create(), { timeoutMs: 1_000 });
    return hosts.filter(({ viaRouterId, health }) => viaRouterId === "" && health !== HostHealth.HOST_HEALTH_DOWN);
  }

  /** The same over all routers. */
  async hostsUp(): Promise<number> {
    const lists = await Promise.all(this.admin.routers.map(({ name }) => this.hostsOf(name)));
    return lists.flat().length;
  }

  /** Resolves when the router has that many hosts on its own tunnels. */
  async untilHosts(name: string, count: number, withinMs: number): Promise<void> {
    await eventually(`${count} host(s) on router ${name}`, withinMs, async () =>
      (await this.hostsOf(name)).length === count ? true : undefined,
    );
  }

  /** Resolves when a router has a host of the service. */
  async untilHosted(service: string, withinMs: number): Promise<void> {
    await eventually(`a host of ${service}`, withinMs, async () => {
      const lists = await Promise.all(this.admin.routers.map(({ name }) => this.hostsOf(name)));
      return lists.flat().some((host) => host.service === service) ? true : undefined;
    });
  }

  /** Resolves when every router has a link to every other. */
  async untilLinked(withinMs: number): Promise<void> {
    const { routers } = this.admin;
    await eventually("links between all routers", withinMs, async () => {
      const lists = await Promise.all(routers.map(({ client }) => client.listLinks({}, { timeoutMs: 1_000 })));
      const up = lists.flatMap(({ links }) => links).filter(({ state }) => state === LinkState.LINK_STATE_UP);
      return up.length === routers.length * (routers.length - 1) ? true : undefined;
    });
  }

  /** `<vantage> <kind> <circuit>` of what should be on record of circuits that have ended, and is not. */
  async missingOnRecord(
    circuitIds: readonly string[],
    vantages: readonly string[] = ["dialer", "host", "router"],
  ): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const vantage of vantages) {
      for (const kind of ["circuit.opened", "circuit.closed"]) {
        const found = new Set((await this.recorded({ vantage, kind })).map((event) => event.circuitId));
        missing.push(...circuitIds.filter((id) => !found.has(id)).map((id) => `${vantage} ${kind} ${id}`));
      }
    }
    return missing;
  }

  /** Every event on record that matches. */
  async recorded(filter: Partial<Filter>): Promise<readonly Event[]> {
    const found = new Map<string, Event>();
    for (let untilUnixMs = 0; ;) {
      const { events } = await this.admin.audit.search({
        filter: Filter.create({ ...filter, untilUnixMs }),
        limit: SEARCH_LIMIT,
      });
      const before = found.size;
      for (const event of events) found.set(event.eventId, event);
      // Newest first: the next page begins in the millisecond in which this one ends.
      untilUnixMs = events.at(-1)?.timeUnixMs ?? 0;
      if (events.length < SEARCH_LIMIT || found.size === before) return [...found.values()];
    }
  }

  /** Tunnels of a workload, over all routers. */
  async tunnelsOf(workload: string): Promise<number> {
    const lists = await Promise.all(
      this.admin.routers.map(({ client }) => client.listTunnels(ListTunnelsRequest.create())),
    );
    return lists.flatMap(({ tunnels }) => tunnels).filter(({ spiffeId }) => spiffeId.includes(`/workload/${workload}/`))
      .length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
