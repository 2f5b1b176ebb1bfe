import { hostPort, listenAddress, readServiceConfig, type ListenAddress, type ServiceConfig } from "@sallyport/service";
import { z } from "zod";

export interface EnrollmentConfig extends ServiceConfig {
  /** `SALLYPORT_ENROLL_LISTEN`, default `127.0.0.1:0`: EnrollService, for callers without an identity. Only routers should reach it. */
  readonly enrollListen: ListenAddress;
  /** `SALLYPORT_ROUTERS`: `host:port` of the routers' public ports, comma-separated; goes into tokens and answers. */
  readonly routers: readonly string[];
}

const variables = {
  SALLYPORT_ENROLL_LISTEN: listenAddress.default({ host: "127.0.0.1", port: 0 }),
  SALLYPORT_ROUTERS: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(hostPort).min(1).max(16)),
};

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): EnrollmentConfig {
  const { common, own } = readServiceConfig(env, variables);
  return { ...common, enrollListen: own.SALLYPORT_ENROLL_LISTEN, routers: own.SALLYPORT_ROUTERS };
}
