import { type ServiceConfig, ServiceError, readServiceConfig } from "@sallyport/service";
import { z } from "zod";

/** Where events are kept. */
type StoreConfig =
  | { readonly kind: "embedded" }
  | { readonly kind: "server"; readonly url: string; readonly user: string; readonly passwordFile: string | null };

export interface AuditConfig extends ServiceConfig {
  readonly store: StoreConfig;
}

/** @throws ServiceError CONFIG_INVALID */
export function readAuditConfig(env: NodeJS.ProcessEnv): AuditConfig {
  const { common, own } = readServiceConfig(env, {
    SALLYPORT_CLICKHOUSE_URL: z.url({ protocol: /^https?$/ }).optional(),
    SALLYPORT_CLICKHOUSE_USER: z.string().min(1).default("default"),
    SALLYPORT_CLICKHOUSE_PASSWORD_FILE: z.string().min(1).optional(),
  });
  const url = own.SALLYPORT_CLICKHOUSE_URL;
  if (url === undefined) return { ...common, store: { kind: "embedded" } };
  const { username, password } = new URL(url);
  if (username !== "" || password !== "") {
    throw new ServiceError({
      code: "CONFIG_INVALID",
      message: "SALLYPORT_CLICKHOUSE_URL names a user or a password",
      remedy: "Put them into SALLYPORT_CLICKHOUSE_USER and the file that SALLYPORT_CLICKHOUSE_PASSWORD_FILE names.",
    });
  }
  const passwordFile = own.SALLYPORT_CLICKHOUSE_PASSWORD_FILE ?? null;
  return { ...common, store: { kind: "server", url, user: own.SALLYPORT_CLICKHOUSE_USER, passwordFile } };
}
