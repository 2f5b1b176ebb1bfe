import { Kvm, type KV } from "@nats-io/kv";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { EventInput } from "@sallyport/audit-log";
import { adminId, serviceId, type RotatingSvid, type SpiffeId } from "@sallyport/identity";
import { PolicyServiceService } from "@sallyport/proto/policy";
import {
  createLogger,
  grpcChannel,
  GrpcServer,
  Readiness,
  serviceClient,
  type ServiceClient,
} from "@sallyport/service";
import type { TestAuthority } from "@sallyport/testing";
import { start } from "./service.ts";

export type PolicyClient = ServiceClient<typeof PolicyServiceService>;

/** One policy process: the real service over real mTLS and a real bus, with the record kept in a list. */
export interface Replica extends AsyncDisposable {
  readonly port: number;
  readonly kv: KV;
  readonly identity: RotatingSvid;
  readonly readiness: Readiness;
  readonly events: readonly EventInput[];
  readonly admin: PolicyClient;
  clientAs(id: SpiffeId): Promise<PolicyClient>;
}

export async function startReplica(authority: TestAuthority, natsUrl: string, instance = "1"): Promise<Replica> {
  await using owned = new AsyncDisposableStack();
  const { trustDomain } = authority;
  const connection = owned.adopt(
    await connect({ servers: natsUrl, reconnectTimeWait: 50, maxReconnectAttempts: -1, timeout: 2_000 }),
    (nats) => nats.close(),
  );
  const buckets = new Kvm(jetstream(connection, { timeout: 1_000 }));
  const identity = await authority.source(serviceId(trustDomain, "policy", instance));
  const log = createLogger({ name: "policy", instance, level: "silent" });
  const readiness = new Readiness();
  const events: EventInput[] = [];
  const listen = { host: "127.0.0.1", port: 0 };
  const grpc = owned.use(new GrpcServer({ identity, listen, log }));
  owned.use(
    await start({
      config: {
        trustDomain,
        instance,
        stateDir: "",
        keyEncryptionKeyFile: "",
        bootstrapDir: "",
        grpcListen: listen,
        caAddress: "",
        natsUrl,
        logLevel: "silent",
      },
      log,
      identity,
      readiness,
      grpc,
      signal: new AbortController().signal,
      bus: { kv: (bucket, options) => buckets.create(bucket, options?.create) },
      audit: { record: (event) => events.push(event) },
    }),
  );
  const port = await grpc.listen();
  const channels = owned.use(new DisposableStack());
  const clientAs = async (id: SpiffeId): Promise<PolicyClient> => {
    const channel = channels.use(
      grpcChannel({
        address: `127.0.0.1:${port}`,
        identity: await authority.source(id),
        expect: (peer) => peer.kind === "service",
      }),
    );
    return serviceClient(channel, PolicyServiceService);
  };
  const admin = await clientAs(adminId(trustDomain, "local"));
  const kv = await buckets.open("policy");
  const ended = owned.move();
  return {
    port,
    kv,
    identity,
    readiness,
    events,
    admin,
    clientAs: (id) => clientAs(id),
    [Symbol.asyncDispose]: () => ended.disposeAsync(),
  };
}
