import { hostPort, listenAddress, readServiceConfig, type ListenAddress, type ServiceConfig } from "@sallyport/service";

export interface RouterConfig extends ServiceConfig {
  /** `SALLYPORT_ROUTER_LISTEN`: the public port. */
  readonly routerListen: ListenAddress;
  /** `SALLYPORT_PUBLIC_ADDRESS`: `host:port` under which workloads reach the public port. Default: where it listens. */
  readonly publicAddress: string | null;
  /** `SALLYPORT_ENROLL_ADDRESS`: enrollment's listener for workloads without an identity. */
  readonly enrollAddress: ListenAddress;
  /** `SALLYPORT_ENROLLMENT_ADDRESS`: enrollment's mutually authenticated gRPC, where renewals go. */
  readonly enrollmentAddress: ListenAddress;
}

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): RouterConfig {
  const { common, own } = readServiceConfig(env, {
    SALLYPORT_ROUTER_LISTEN: listenAddress,
    SALLYPORT_PUBLIC_ADDRESS: hostPort.optional(),
    SALLYPORT_ENROLL_ADDRESS: listenAddress,
    SALLYPORT_ENROLLMENT_ADDRESS: listenAddress,
  });
  return {
    ...common,
    routerListen: own.SALLYPORT_ROUTER_LISTEN,
    publicAddress: own.SALLYPORT_PUBLIC_ADDRESS ?? null,
    enrollAddress: own.SALLYPORT_ENROLL_ADDRESS,
    enrollmentAddress: own.SALLYPORT_ENROLLMENT_ADDRESS,
  };
}
