import type { EventInput } from "@sallyport/audit-log";
import type { SvidSource, TrustBundle } from "@sallyport/identity";
import { EnrollmentServiceService, EnrollServiceService } from "@sallyport/proto/enrollment";
import { PolicyState } from "@sallyport/policy-engine";
import {
  GrpcServer,
  grpcChannel,
  type ListenAddress,
  type Logger,
  type Runtime,
  type ServiceDefinition,
} from "@sallyport/service";
import { readConfig, type EnrollmentConfig } from "./config.ts";
import type { Certifier, GenerationStore, Revocations, TokenStore } from "./domain/ports.ts";
import { RateLimiter } from "./domain/rate-limiter.ts";
import { Redeemer } from "./domain/redeem.ts";
import { policyRevocations } from "./domain/revocations.ts";
import { createToken } from "./rpc/create-token.ts";
import { enroll } from "./rpc/enroll.ts";
import { listTokens } from "./rpc/list-tokens.ts";
import { renew } from "./rpc/renew.ts";
import { caCertifier } from "./store/ca-certifier.ts";
import { generationStore } from "./store/generation-store.ts";
import { tokenStore } from "./store/token-store.ts";
import { followPolicy } from "./subjects/policy.ts";

const enrollAlpn = ["sallyport-enroll/1", "h2"];
const maxEnrollConnections = 256;
const maxEnrollRequestBytes = 16 * 1024;
const enrollmentsPerSecond = 50;
const enrollmentBurst = 100;

export const enrollmentService: ServiceDefinition<EnrollmentConfig> = { name: "enrollment", readConfig, start };

async function start(runtime: Runtime<EnrollmentConfig>): Promise<AsyncDisposable> {
  const { config, identity, bus, log, readiness, audit, grpc } = runtime;
  await using owned = new AsyncDisposableStack();
  const stopping = owned.adopt(new AbortController(), (controller) => controller.abort());
  const signal = AbortSignal.any([runtime.signal, stopping.signal]);

  const storeBlock = readiness.block("bucket enrollment");
  const kv = await bus.kv("enrollment", { create: { history: 1 }, signal });
  storeBlock[Symbol.dispose]();

  const policy = new PolicyState({ scope: "subscribed", bundle: () => identity.bundle() });
  const policyBlock = readiness.block("deny-list");
  policy.onChange(() => {
    if (policy.freshness().kind === "fresh") policyBlock[Symbol.dispose]();
  });
  const following = bus
    .kv("policy", { signal })
    .then((policyKv) => followPolicy({ kv: policyKv, state: policy, log, signal }));
  following.catch((error: unknown) => {
    if (!signal.aborted) log.error({ err: error }, "the policy is no longer watched");
  });

  const ca = owned.use(
    grpcChannel({
      address: config.caAddress,
      identity,
      expect: (peer) => peer.kind === "service" && peer.name === "ca",
    }),
  );
  const strangers = owned.use(strangersServer({ identity, listen: config.enrollListen, log }));
  addEnrollment(
    { grpc, strangers },
    {
      trustDomain: config.trustDomain,
      routers: config.routers,
      bundle: () => identity.bundle(),
      record: (event) => audit.record(event),
      tokens: tokenStore(kv),
      generations: generationStore(kv),
      certifier: caCertifier(ca),
      revocations: policyRevocations(policy),
    },
  );
  const port = await strangers.listen();
  log.info({ enroll: `${config.enrollListen.host}:${port}` }, "enrollment listens for strangers behind the routers");
  return owned.move();
}

/** The listener for callers without an identity: our certificate with its root, none of theirs, small requests. */
export function strangersServer(options: {
  readonly identity: SvidSource;
  readonly listen: ListenAddress;
  readonly log: Logger;
}): GrpcServer {
  return new GrpcServer({
    ...options,
    alpn: enrollAlpn,
    clientCertificate: "none",
    sendRoot: true,
    maxConnections: maxEnrollConnections,
    maxRequestBytes: maxEnrollRequestBytes,
  });
}

/** Both gRPC faces, with who may call what. */
export function addEnrollment(
  faces: { readonly grpc: GrpcServer; readonly strangers: GrpcServer },
  own: {
    readonly trustDomain: string;
    readonly routers: readonly string[];
    readonly bundle: () => TrustBundle;
    readonly record: (event: EventInput) => void;
    readonly tokens: TokenStore;
    readonly generations: GenerationStore;
    readonly certifier: Certifier;
    readonly revocations: Revocations;
  },
): void {
  const redeemer = new Redeemer({ ...own, now: Date.now });
  const limiter = new RateLimiter({ perSecond: enrollmentsPerSecond, burst: enrollmentBurst });
  faces.strangers.add(
    EnrollServiceService,
    { enroll: enroll({ ...own, redeemer, limiter }) },
    { enroll: "unauthenticated" },
  );
  faces.grpc.add(
    EnrollmentServiceService,
    { createToken: createToken(own), listTokens: listTokens(own.tokens), renew: renew(own) },
    { createToken: "admin", listTokens: "admin", renew: "workload" },
  );
}
