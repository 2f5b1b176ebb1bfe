/** A router and connectors, each a process of its own, joined by a test authority and a policy of one service. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWorker, type RouterWorkerApi, type RouterWorkerSetup, type Worker } from "@sallyport/testing";
import type { ConnectorWorkerApi } from "./connector-worker.ts";
import type { TcpAppApi } from "./tcp-app-worker.ts";

const checkout = join(import.meta.dirname, "../../..");
export const service = "bulk";
/** `dialer` may dial the service, `host` may host it, `stranger` may do nothing. */
const policy = {
  cedar: `
@id("dials") permit (principal == Sallyport::Workload::"dialer", action == Sallyport::Action::"dial", resource == Sallyport::Service::"${service}");
@id("hosts") permit (principal == Sallyport::Workload::"host", action == Sallyport::Action::"host", resource == Sallyport::Service::"${service}");
`,
  workloads: ["dialer", "host", "stranger"],
  services: [service],
};

export class BenchNetwork implements AsyncDisposable {
  readonly folder: string;
  readonly router: Worker<RouterWorkerApi>;
  readonly address: string;
  readonly #owned: AsyncDisposableStack;
  #instances = 0;

  private constructor(folder: string, router: Worker<RouterWorkerApi>, address: string, owned: AsyncDisposableStack) {
    this.folder = folder;
    this.router = router;
    this.address = address;
    this.#owned = owned;
  }

  static async start(
    limits: RouterWorkerSetup["limits"] = {},
    execArgv: readonly string[] = [],
  ): Promise<BenchNetwork> {
    await using starting = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
    starting.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const file = join(checkout, "services/router/src/testing/router-worker.ts");
    const router = starting.use(startWorker<RouterWorkerApi>(file, execArgv));
    const address = await router.call("start", { ...policy, limits, folder });
    return new BenchNetwork(folder, router, address, starting.move());
  }

  /** A connector of a fresh instance of the workload, with its tunnel up. */
  async connector(
    name: "dialer" | "host" | "stranger",
    execArgv: readonly string[] = [],
  ): Promise<Worker<ConnectorWorkerApi>> {
    const instance = String((this.#instances += 1));
    const identity = await this.router.call("issue", { name, instance });
    const file = join(import.meta.dirname, "connector-worker.ts");
    const connector = this.#owned.use(startWorker<ConnectorWorkerApi>(file, execArgv));
    await connector.call("open", { identity, router: this.address, folder: this.folder });
    return connector;
  }

  /** A plain TCP application. */
  app(): Worker<TcpAppApi> {
    return this.#owned.use(startWorker<TcpAppApi>(join(import.meta.dirname, "tcp-app-worker.ts")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
