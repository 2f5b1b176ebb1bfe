import type { KeyFiles } from "./key-files.ts";
import type { StateLayout } from "./layout.ts";
import { publicAddresses, runningRouters, type NetworkFile, type RouterEntry } from "./network-file.ts";
import { instanceOf, routerProcess, type ProcessName, type ServiceName } from "./roles.ts";

/** A process to start: a service, or one of the routers. */
export type Instance =
  | { readonly kind: "service"; readonly process: Exclude<ServiceName, "router"> }
  | { readonly kind: "router"; readonly router: RouterEntry };

export function processOf(instance: Instance): ProcessName {
  return instance.kind === "router" ? routerProcess(instance.router.name) : instance.process;
}

export interface EnvironmentInput {
  readonly network: NetworkFile;
  readonly layout: StateLayout;
  readonly keys: KeyFiles;
  readonly logLevel: string;
  /** Of routers, in the order of their names. Undefined: each one's link port. */
  readonly linkAddresses: readonly string[] | undefined;
  /** Undefined: the CA's own default. */
  readonly svidTtlSeconds: number | undefined;
  /** Our own. */
  readonly env: NodeJS.ProcessEnv;
}

/** The settings of a service, whole: a service inherits nothing of ours but what `inherited` names. No value is a secret. */
export function serviceEnvironment(instance: Instance, input: EnvironmentInput): Readonly<Record<string, string>> {
  const { network, layout, keys } = input;
  const name = processOf(instance);
  const grpcPort = instance.kind === "router" ? instance.router.grpcPort : network.ports[instance.process];
  return {
    SALLYPORT_TRUST_DOMAIN: network.trustDomain,
    SALLYPORT_INSTANCE: instanceOf(name),
    SALLYPORT_STATE_DIR: layout.processDir(name),
    SALLYPORT_KEY_ENCRYPTION_KEY_FILE: keys.path(name),
    SALLYPORT_BOOTSTRAP_DIR: layout.bootstrapDir(name),
    SALLYPORT_GRPC_LISTEN: loopback(grpcPort),
    SALLYPORT_CA_ADDRESS: loopback(network.ports.ca),
    SALLYPORT_NATS_URL: `tls://${loopback(network.ports.nats)}`,
    SALLYPORT_LOG_LEVEL: input.logLevel,
    ...(instance.kind === "router" ? routerSettings(instance.router, input) : ownSettings(instance.process, input)),
  };
}

function routerSettings(
  router: RouterEntry,
  { network, linkAddresses = [], env }: EnvironmentInput,
): Readonly<Record<string, string>> {
  const running = runningRouters(network);
  const isShared = running.some(({ name, listen }) => name !== router.name && listen === router.listen);
  const linkListen = loopback(router.linkPort);
  return {
    SALLYPORT_ROUTER_LISTEN: router.listen,
    SALLYPORT_PUBLIC_ADDRESS: router.publicAddress,
    ...(isShared ? { SALLYPORT_ROUTER_REUSE_PORT: "1" } : {}),
    SALLYPORT_LINK_LISTEN: linkListen,
    SALLYPORT_LINK_ADDRESS: linkAddresses[Number(router.name) - 1] ?? linkListen,
    SALLYPORT_ENROLL_ADDRESS: loopback(network.ports.enroll),
    SALLYPORT_ENROLLMENT_ADDRESS: loopback(network.ports.enrollment),
    ...inheritedLimits(env),
  };
}

/** The limits that whoever starts the network sets for its routers: `SALLYPORT_LIMIT_<NAME>`, as docs/limits.md has them. */
export function inheritedLimits(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      name.startsWith("SALLYPORT_LIMIT_") && value !== undefined ? [[name, value]] : [],
    ),
  );
}

function ownSettings(
  name: Exclude<ServiceName, "router">,
  { network, svidTtlSeconds }: EnvironmentInput,
): Readonly<Record<string, string>> {
  switch (name) {
    case "enrollment":
      return {
        SALLYPORT_ENROLL_LISTEN: loopback(network.ports.enroll),
        SALLYPORT_ROUTERS: publicAddresses(network).join(","),
      };
    case "ca":
      return svidTtlSeconds === undefined ? {} : { SALLYPORT_SVID_TTL_SECONDS: String(svidTtlSeconds) };
    case "policy":
    case "audit":
      return {};
  }
}

function loopback(port: number): string {
  return `127.0.0.1:${port}`;
}

const inheritedNames = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/** What a child gets of our own environment. */
export function inherited(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(inheritedNames.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
