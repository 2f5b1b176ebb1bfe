import type { SvidSource } from "@sallyport/identity";
import {
  SvidRenewal,
  createLogger,
  grpcChannel,
  loadBootstrap,
  remoteIssuer,
  serviceClient,
  type GrpcChannel,
  type ServiceClient,
} from "@sallyport/service";
import { AuditServiceService } from "@sallyport/proto/audit";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import { EnrollmentServiceService } from "@sallyport/proto/enrollment";
import { PolicyServiceService } from "@sallyport/proto/policy";
import { RouterServiceService } from "@sallyport/proto/router";
import { ConstellationError } from "./constellation-error.ts";
import { KeyFiles } from "./key-files.ts";
import { stateLayout } from "./layout.ts";
import { readNetworkFile, runningRouters, type NetworkFile, type RouterEntry } from "./network-file.ts";
import { isStateLocked } from "./state-lock.ts";
import { holderId, routerProcess, type HolderName, type ProcessName } from "./roles.ts";

export type RouterClient = ServiceClient<typeof RouterServiceService>;

/** The administrator's view of a network: every method of every service, as `/admin/local`. */
export interface AdminClients extends AsyncDisposable {
  readonly network: NetworkFile;
  readonly ca: ServiceClient<typeof CertificateAuthorityServiceService>;
  readonly enrollment: ServiceClient<typeof EnrollmentServiceService>;
  readonly policy: ServiceClient<typeof PolicyServiceService>;
  /** The first of `routers`. */
  readonly router: RouterClient;
  /** The routers that run, in the order of their names. */
  readonly routers: readonly { readonly name: string; readonly client: RouterClient }[];
  readonly audit: ServiceClient<typeof AuditServiceService>;
}

const FIRST_SVID_TIMEOUT_MS = 5_000;

/**
 * Connects to the network of a state folder. The administrator's SVID comes from the CA by the bootstrap credential in that folder.
 * @throws ConstellationError STATE_NOT_FOUND, STATE_INVALID, KEY_MISSING, NETWORK_UNREACHABLE
 */
export async function openAdmin(
  stateDir: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<AdminClients> {
  const network = await readNetwork(stateDir);
  if (!(await isStateLocked(stateLayout(stateDir).lockFile))) {
    throw new ConstellationError({
      code: "NETWORK_UNREACHABLE",
      message: `no network runs on ${stateDir} just now`,
      remedy: "Start it with `sallyport up`.",
    });
  }
  const { trustDomain } = network;
  const bootstrap = await holderBootstrap(stateDir, "admin");
  await using owned = new AsyncDisposableStack();
  const issue = owned.use(remoteIssuer({ caAddress: loopback(network.ports.ca), bootstrap }));
  const identity = owned.use(await firstSvid(issue, network, options.signal)).source;
  const channel = (name: ProcessName, port: number): GrpcChannel =>
    owned.use(
      grpcChannel({
        address: loopback(port),
        identity,
        expect: (peer) => peer.id.uri === holderId(name, trustDomain).uri,
      }),
    );
  const service = (name: "ca" | "enrollment" | "policy" | "audit"): GrpcChannel => channel(name, network.ports[name]);
  const routerClient = ({ name, grpcPort }: RouterEntry): RouterClient =>
    serviceClient(channel(routerProcess(name), grpcPort), RouterServiceService);
  const [first, ...others] = runningRouters(network);
  const router = routerClient(first);
  const clients = {
    ca: serviceClient(service("ca"), CertificateAuthorityServiceService),
    enrollment: serviceClient(service("enrollment"), EnrollmentServiceService),
    policy: serviceClient(service("policy"), PolicyServiceService),
    router,
    routers: [
      { name: first.name, client: router },
      ...others.map((entry) => ({ name: entry.name, client: routerClient(entry) })),
    ],
    audit: serviceClient(service("audit"), AuditServiceService),
  };
  const kept = owned.move();
  return { network, ...clients, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * The bootstrap credential of one of the network's own processes, opened.
 * @throws ConstellationError STATE_NOT_FOUND, STATE_INVALID, KEY_MISSING; ServiceError BOOTSTRAP_INVALID
 */
export async function holderBootstrap(stateDir: string, holder: HolderName): Promise<SvidSource> {
  const { trustDomain, keyDir, id } = await readNetwork(stateDir);
  const keyEncryptionKey = await new KeyFiles(keyDir, id).read(holder);
  return await loadBootstrap({ dir: stateLayout(stateDir).bootstrapDir(holder), trustDomain, keyEncryptionKey });
}

async function readNetwork(stateDir: string): Promise<NetworkFile> {
  const network = await readNetworkFile(stateLayout(stateDir).networkFile);
  if (network !== undefined) return network;
  throw new ConstellationError({
    code: "STATE_NOT_FOUND",
    message: `there is no network in ${stateDir}`,
    remedy: "Start one with `sallyport up`, or name its folder with --state.",
  });
}

async function firstSvid(
  issue: ReturnType<typeof remoteIssuer>,
  network: NetworkFile,
  signal: AbortSignal | undefined,
): Promise<SvidRenewal> {
  const timeout = AbortSignal.timeout(FIRST_SVID_TIMEOUT_MS);
  try {
    return await SvidRenewal.open({
      issue,
      bus: false,
      uri: holderId("admin", network.trustDomain).uri,
      log: createLogger({ name: "admin", instance: "local", level: "silent" }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ConstellationError({
      code: "NETWORK_UNREACHABLE",
      message: `the network's CA did not answer on ${loopback(network.ports.ca)}`,
      remedy: "Start the network with `sallyport up`, or look at the end of its logs.",
      cause,
    });
  }
}

function loopback(port: number): string {
  return `127.0.0.1:${port}`;
}
