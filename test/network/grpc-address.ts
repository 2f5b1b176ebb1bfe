import type { NetworkFile, ServiceName } from "@sallyport/constellation";

/** Where a service's gRPC is; the first router's. */
export function grpcAddress({ ports, routers }: NetworkFile, name: ServiceName): string {
  return `127.0.0.1:${name === "router" ? routers[0].grpcPort : ports[name]}`;
}
