import {
  hostPort,
  listenAddress,
  readServiceConfig,
  wholeNumber,
  type ListenAddress,
  type ServiceConfig,
} from "@sallyport/service";
import { largestOf, limitNames, limitsOf, settingOf } from "./limit-settings.ts";
import type { RouterLimits } from "./limits.ts";

export interface RouterConfig extends ServiceConfig {
  /** `SALLYPORT_ROUTER_LISTEN`: the public port. */
  readonly routerListen: ListenAddress;
  /** `SALLYPORT_PUBLIC_ADDRESS`: `host:port` under which workloads reach the public port. Default: where it listens. */
  readonly publicAddress: string | null;
  /** `SALLYPORT_ENROLL_ADDRESS`: enrollment's listener for workloads without an identity. */
  readonly enrollAddress: ListenAddress;
  /** `SALLYPORT_ENROLLMENT_ADDRESS`: enrollment's mutually authenticated gRPC, where renewals go. */
  readonly enrollmentAddress: ListenAddress;
  /** `SALLYPORT_LIMIT_<NAME>`: docs/limits.md. */
  readonly limits: RouterLimits;
}

const limitVariables = Object.fromEntries(
  limitNames.map((name) => [settingOf(name), wholeNumber({ min: 1, max: largestOf(name) }).optional()]),
);

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): RouterConfig {
  const { common, own } = readServiceConfig(env, {
    SALLYPORT_ROUTER_LISTEN: listenAddress,
    SALLYPORT_PUBLIC_ADDRESS: hostPort.optional(),
    SALLYPORT_ENROLL_ADDRESS: listenAddress,
    SALLYPORT_ENROLLMENT_ADDRESS: listenAddress,
    ...limitVariables,
  });
  return {
    ...common,
    routerListen: own.SALLYPORT_ROUTER_LISTEN,
    publicAddress: own.SALLYPORT_PUBLIC_ADDRESS ?? null,
    enrollAddress: own.SALLYPORT_ENROLL_ADDRESS,
    enrollmentAddress: own.SALLYPORT_ENROLLMENT_ADDRESS,
    limits: limitsOf(own),
  };
}
