import { EventEmitter, on } from "node:events";
import { status } from "@grpc/grpc-js";
import { HealthService, servingStatus, type HealthMethods, type ServingStatus } from "./health-messages.ts";
import type { Readiness } from "./readiness.ts";
import { RpcError } from "./rpc-error.ts";
import type { Implementation } from "./rpc-handler.ts";

/** `grpc.health.v1.Health`: SERVING while the process is ready, for the whole server ("") and for each service by name. */
export class GrpcHealth {
  readonly service: HealthMethods = HealthService;
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

  get implementation(): Implementation<HealthMethods> {
    return {
      check: async ({ service }) => {
        const current = this.#statusOf(service);
        if (current !== servingStatus.serviceUnknown) return { status: current };
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
    if (!this.#services.has(service)) return servingStatus.serviceUnknown;
    return this.#serving ? servingStatus.serving : servingStatus.notServing;
  }

  #set(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    this.#changes.emit("change");
  }
}
