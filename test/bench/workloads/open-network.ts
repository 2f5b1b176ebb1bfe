/** A constellation with workloads of a bench: dialers that may dial one service, and hosts of it. */
import { join } from "node:path";
import { startNetwork, type Network } from "@sallyport/constellation";
import { PolicyDocument } from "@sallyport/proto/policy";
import { startWorker, type Worker } from "@sallyport/testing";
import { temporaryHome, type TemporaryHome } from "../../network/temporary-home.ts";
import type { WorkloadsApi } from "./workloads-worker.ts";

export const service = "stream";
/** Spoken over MCP. */
export const tools = "tools";

function permit(name: string, action: string, on: string): string {
  return `@id("${name}-${action}-${on}") permit (principal == Sallyport::Workload::"${name}", action == Sallyport::Action::"${action}", resource == Sallyport::Service::"${on}");`;
}

const anyTool = `@id("calls") permit (principal, action == Sallyport::Action::"callTool", resource);`;

export interface WorkloadsNetwork extends AsyncDisposable {
  readonly network: Network;
  readonly home: TemporaryHome;
  /** A process for workloads. */
  readonly worker: () => Worker<WorkloadsApi>;
  /** Has a workload of that process join. */
  readonly join: (worker: Worker<WorkloadsApi>, name: string, reversed?: boolean) => Promise<void>;
}

export interface WorkloadsNetworkOptions {
  readonly routers: number;
  readonly dialers: readonly string[];
  readonly hosts: readonly string[];
  readonly svidTtlSeconds?: number;
}

export async function openWorkloadsNetwork(options: WorkloadsNetworkOptions): Promise<WorkloadsNetwork> {
  const { routers, dialers, hosts, ...rest } = options;
  await using opening = new AsyncDisposableStack();
  const home = opening.use(await temporaryHome());
  const { stateDir, keyDir, env } = home;
  const routerListen = Array.from({ length: routers }, () => "127.0.0.1:0");
  const network = opening.use(await startNetwork({ stateDir, keyDir, env, routers, routerListen, ...rest }));
  const may = (action: string, names: readonly string[]): string =>
    names.flatMap((name) => [service, tools].map((on) => permit(name, action, on))).join("\n");
  const document = PolicyDocument.create({
    cedarFiles: { "main.cedar": `${may("dial", dialers)}\n${may("host", hosts)}\n${anyTool}\n` },
    workloads: [...dialers, ...hosts].map((name) => ({ name, roles: [] })),
    services: [
      { name: service, protocol: "tcp", description: "" },
      { name: tools, protocol: "mcp", description: "" },
    ],
  });
  await network.admin.policy.applyPolicy({ document, expectedVersion: 0, dryRun: false });
  const open = opening.move();
  return {
    network,
    home,
    worker: () => open.use(startWorker<WorkloadsApi>(join(import.meta.dirname, "workloads-worker.ts"))),
    join: async (worker, name, reversed = false) => {
      const { token } = await network.admin.enrollment.createToken({
        workload: name,
        ttlSeconds: 0,
        keyThumbprint: "",
      });
      await worker.call("join", { name, token, folder: join(home.folder, "workloads", name), reversed });
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
