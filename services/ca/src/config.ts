import { readServiceConfig, type ServiceConfig } from "@sallyport/service";

/** The CA needs nothing beyond what every service is told. */
export type CaConfig = ServiceConfig;

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): CaConfig {
  return readServiceConfig(env, {}).common;
}
