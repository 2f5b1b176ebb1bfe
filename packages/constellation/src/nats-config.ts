import { busId } from "@sallyport/identity";
import { busPermissions } from "./bus-permissions.ts";
import { serviceNames } from "./roles.ts";

export interface NatsConfig {
  readonly trustDomain: string;
  readonly port: number;
  readonly storeDir: string;
  readonly pidFile: string;
  /** PEM files. The key's is there only while the server reads it. */
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly rootsFile: string;
}

/**
 * The configuration of nats-server: loopback, TLS with a client certificate, one user per role named by its SPIFFE ID.
 * Values are JSON, which its syntax includes. There is no `min_version`: Debian's 2.9.10 does not know it.
 */
export function natsConfig(config: NatsConfig): string {
  const users = serviceNames.map((role) => {
    const { publish, subscribe } = busPermissions(role);
    return {
      user: busId(config.trustDomain, role).uri,
      permissions: { publish: { allow: publish }, subscribe: { allow: subscribe } },
    };
  });
  const settings = {
    listen: `127.0.0.1:${config.port}`,
    server_name: "sallyport",
    pid_file: config.pidFile,
    max_payload: 4 * 1024 * 1024,
    jetstream: {
      store_dir: config.storeDir,
      max_memory_store: 64 * 1024 * 1024,
      max_file_store: 8 * 1024 * 1024 * 1024,
    },
    tls: {
      cert_file: config.certificateFile,
      key_file: config.privateKeyFile,
      ca_file: config.rootsFile,
      verify_and_map: true,
      timeout: 5,
    },
    accounts: { BUS: { jetstream: "enabled", users } },
  };
  return `${Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value, null, 2)}`)
    .join("\n")}\n`;
}
