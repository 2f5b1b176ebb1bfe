import type { KeyFiles } from "./key-files.ts";
import type { StateLayout } from "./layout.ts";
import type { NetworkFile } from "./network-file.ts";
import { instanceName, type ServiceName } from "./roles.ts";

export interface EnvironmentInput {
  readonly network: NetworkFile;
  readonly layout: StateLayout;
  readonly keys: KeyFiles;
  readonly logLevel: string;
  /** Undefined: the CA's own default. */
  readonly svidTtlSeconds: number | undefined;
}

/** The settings of a service, whole: a service inherits nothing of ours but what `inherited` names. No value is a secret. */
export function serviceEnvironment(name: ServiceName, input: EnvironmentInput): Readonly<Record<string, string>> {
  const { network, layout, keys } = input;
  const loopback = (port: number): string => `127.0.0.1:${port}`;
  return {
    SALLYPORT_TRUST_DOMAIN: network.trustDomain,
    SALLYPORT_INSTANCE: instanceName,
    SALLYPORT_STATE_DIR: layout.processDir(name),
    SALLYPORT_KEY_ENCRYPTION_KEY_FILE: keys.path(name),
    SALLYPORT_BOOTSTRAP_DIR: layout.bootstrapDir(name),
    SALLYPORT_GRPC_LISTEN: loopback(network.ports[name]),
    SALLYPORT_CA_ADDRESS: loopback(network.ports.ca),
    SALLYPORT_NATS_URL: `tls://${loopback(network.ports.nats)}`,
    SALLYPORT_LOG_LEVEL: input.logLevel,
    ...ownSettings(name, input, loopback),
  };
}

function ownSettings(
  name: ServiceName,
  { network, svidTtlSeconds }: EnvironmentInput,
  loopback: (port: number) => string,
): Record<string, string> {
  switch (name) {
    case "router":
      return {
        SALLYPORT_ROUTER_LISTEN: network.routerListen,
        SALLYPORT_PUBLIC_ADDRESS: network.publicAddress,
        SALLYPORT_ENROLL_ADDRESS: loopback(network.ports.enroll),
        SALLYPORT_ENROLLMENT_ADDRESS: loopback(network.ports.enrollment),
      };
    case "enrollment":
      return { SALLYPORT_ENROLL_LISTEN: loopback(network.ports.enroll), SALLYPORT_ROUTERS: network.publicAddress };
    case "ca":
      return svidTtlSeconds === undefined ? {} : { SALLYPORT_SVID_TTL_SECONDS: String(svidTtlSeconds) };
    case "policy":
    case "audit":
      return {};
  }
}

const inheritedNames = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/** What a child gets of our own environment. */
export function inherited(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(inheritedNames.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
