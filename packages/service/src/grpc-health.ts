import { EventEmitter, on } from "node:events";
import { status } from "@grpc/grpc-js";
import { HealthService, HealthCheckResponse_ServingStatus as ServingStatus } from "@sallyport/proto/health";
import type { Readiness } from "./readiness.ts";
import { RpcError } from "./rpc-error.ts";
import type { Implementation } from "./rpc-handler.ts";

/** `grpc.health.v1.Health`: SERVING while the process is ready, for the whole server ("") and for each service by name. */
export class GrpcHealth {
  readonly service: HealthService = HealthService;
  readonly #services = new Set<string>([""]);
  readonly #changes = new EventEmitter().setMaxListeners(0);
  #serving = false;

  /** @param service a full name that probes may ask for. */
  cover(service: string): void {
    this.#services.add(service);
  }

  follow(readiness: Readiness): () => void {
    return readiness.onChange((state) => this.#set(state.kind === "ready"));
  }

  stopServing(): void {
    this.#set(false);
  }

  get implementation(): Implementation<HealthService> {
    return {
      check: async ({ service }) => {
        const current = this.#statusOf(service);
        if (current !== ServingStatus.SERVICE_UNKNOWN) return { status: current };
        const message = `There is no service ${service} here.`;
        throw new RpcError({ code: "SERVICE_UNKNOWN", status: status.NOT_FOUND, field: "service", message });
      },
      watch: ({ service }, { signal }) => this.#watch(service, signal),
    };
  }

  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<{ readonly status: ServingStatus }> {
    const changes = on(this.#changes, "change", { signal });
    yield { status: this.#statusOf(service) };
    for await (const _change of changes) yield { status: this.#statusOf(service) };
  }

  #statusOf(service: string): ServingStatus {
    if (!this.#services.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  #set(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    this.#changes.emit("change");
  }
}
