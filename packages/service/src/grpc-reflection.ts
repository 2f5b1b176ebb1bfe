import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";

/** gRPC server reflection for the named services, from the descriptors that the code was generated from. */
export function addReflection(
  services: readonly string[],
  add: (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => void,
): void {
  const descriptors = readFileSync(fileURLToPath(import.meta.resolve("@sallyport/proto/descriptors.binpb")));
  new ReflectionService(loadFileDescriptorSetFromBuffer(descriptors), { services: [...services] }).addToServer({
    addService: add,
  });
}
