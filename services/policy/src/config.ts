import { readServiceConfig, type ServiceConfig } from "@sallyport/service";

/** Policy has no settings of its own. */
export type PolicyConfig = ServiceConfig;

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): PolicyConfig {
  return readServiceConfig(env, {}).common;
}
