import {
  ServiceError,
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
  /** `SALLYPORT_ROUTER_REUSE_PORT`: 1 where several router processes of this machine share the public port; it needs `SALLYPORT_LINK_LISTEN`. */
  readonly reusePort: boolean;
  /** `SALLYPORT_LINK_LISTEN`: a port for the links of other routers. Default: they come in by the public port. */
  readonly linkListen: ListenAddress | null;
  /** `SALLYPORT_LINK_ADDRESS`: `host:port` under which other routers reach it. Default: where links come in, as far as that can be told. */
  readonly linkAddress: string | null;
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

const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): RouterConfig {
  const { common, own } = readServiceConfig(env, {
    SALLYPORT_ROUTER_LISTEN: listenAddress,
    SALLYPORT_PUBLIC_ADDRESS: hostPort.optional(),
    SALLYPORT_ROUTER_REUSE_PORT: wholeNumber({ min: 0, max: 1 }).optional(),
    SALLYPORT_LINK_LISTEN: listenAddress.optional(),
    SALLYPORT_LINK_ADDRESS: hostPort.optional(),
    SALLYPORT_ENROLL_ADDRESS: listenAddress,
    SALLYPORT_ENROLLMENT_ADDRESS: listenAddress,
    ...limitVariables,
  });
  const reusePort = own.SALLYPORT_ROUTER_REUSE_PORT === 1;
  const { SALLYPORT_LINK_LISTEN: linkListen = null, SALLYPORT_LINK_ADDRESS: linkAddress = null } = own;
  // A link to a port that several share would reach any of them.
  if (reusePort && linkListen === null) throw unusable("SALLYPORT_ROUTER_REUSE_PORT needs SALLYPORT_LINK_LISTEN");
  if (linkListen !== null && wildcards.has(linkListen.host) && linkAddress === null)
    throw unusable(`SALLYPORT_LINK_LISTEN on ${linkListen.host} needs SALLYPORT_LINK_ADDRESS`);
  return {
    ...common,
    routerListen: own.SALLYPORT_ROUTER_LISTEN,
    publicAddress: own.SALLYPORT_PUBLIC_ADDRESS ?? null,
    reusePort,
    linkListen,
    linkAddress,
    enrollAddress: own.SALLYPORT_ENROLL_ADDRESS,
    enrollmentAddress: own.SALLYPORT_ENROLLMENT_ADDRESS,
    limits: limitsOf(own),
  };
}

function unusable(why: string): ServiceError {
  return new ServiceError({
    code: "CONFIG_INVALID",
    message: `settings are not usable: ${why}`,
    remedy: "Each router needs an address of its own that others reach it under: see the README of the router.",
  });
}
