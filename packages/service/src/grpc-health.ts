import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Readiness } from "./readiness.ts";

/** `grpc.health.v1.Health`: SERVING while the process is ready, for the whole server and for each service by name. */
export class GrpcHealth {
  readonly #health = new HealthImplementation({ "": "NOT_SERVING" });
  readonly #services = new Set<string>([""]);
  #serving = false;

  cover(service: string): void {
    this.#services.add(service);
    this.#publish();
  }

  follow(readiness: Readiness): () => void {
    return readiness.onChange((state) => this.#set(state.kind === "ready"));
  }

  stopServing(): void {
    this.#set(false);
  }

  addTo(add: (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => void): void {
    this.#health.addToServer({ addService: add });
  }

  #set(serving: boolean): void {
    this.#serving = serving;
    this.#publish();
  }

  #publish(): void {
    for (const service of this.#services) this.#health.setStatus(service, this.#serving ? "SERVING" : "NOT_SERVING");
  }
}
