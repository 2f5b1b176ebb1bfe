import { readServiceConfig, type ServiceConfig } from "@sallyport/service";
import { z } from "zod";

export interface CaConfig extends ServiceConfig {
  /** `SALLYPORT_SVID_TTL_SECONDS`, 10 to 86,400, default 3,600: how long a certificate lives when nobody asks for another lifetime. */
  readonly svidTtlSeconds: number;
}

/** @throws ServiceError CONFIG_INVALID */
export function readConfig(env: NodeJS.ProcessEnv): CaConfig {
  const { common, own } = readServiceConfig(env, {
    SALLYPORT_SVID_TTL_SECONDS: z.coerce.number().int().min(10).max(86_400).default(3600),
  });
  return { ...common, svidTtlSeconds: own.SALLYPORT_SVID_TTL_SECONDS };
}
