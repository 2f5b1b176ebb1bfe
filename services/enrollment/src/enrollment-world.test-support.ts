/** Enrollment as it runs, on a real bus and real mutual TLS. The CA is a test authority and the record a list. */
import type { EventInput } from "@sallyport/audit-log";
import { Kvm, type KV } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import {
  adminId,
  createSvid,
  issueLeaf,
  RotatingSvid,
  serviceId,
  workloadId,
  type SvidSource,
} from "@sallyport/identity";
import {
  createHead,
  DENY_LIST_TYPE,
  encodeDenyList,
  HEAD_TYPE,
  PolicyState,
  sealEnvelope,
} from "@sallyport/policy-engine";
import { EnrollmentServiceService, EnrollServiceService, type EnrollResponse } from "@sallyport/proto/enrollment";
import { Head, SignedEnvelope, type DenyEntry, type DenyList, type Subject } from "@sallyport/proto/policy";
import { GrpcServer, grpcChannel, serviceClient, type ServiceClient } from "@sallyport/service";
import { createTestAuthority, natsServer, type TestAuthority, type TestNatsServer } from "@sallyport/testing";
import { pino } from "pino";
import type { Certifier } from "./domain/ports.ts";
import { policyRevocations } from "./domain/revocations.ts";
import { addEnrollment, strangersServer } from "./service.ts";
import { generationStore } from "./store/generation-store.ts";
import { tokenStore } from "./store/token-store.ts";
import { followPolicy } from "./subjects/policy.ts";

type Admin = ServiceClient<typeof EnrollmentServiceService>;
type Stranger = ServiceClient<typeof EnrollServiceService>;

const trustDomain = "a.org";
const listen = { host: "127.0.0.1", port: 0 };

export class EnrollmentWorld implements AsyncDisposable {
  readonly authority: TestAuthority;
  readonly nats: TestNatsServer;
  readonly kv: KV;
  readonly events: EventInput[] = [];
  readonly logLines: string[] = [];
  /** What the CA was asked for, in order. */
  readonly certified: string[] = [];
  /** What the CA does before it answers. */
  beforeCertifying: () => Promise<void> = async () => undefined;
  enrollPort = 0;
  #grpcPort = 0;
  readonly #policyKv: KV;
  readonly #state: PolicyState;
  readonly #owned: AsyncDisposableStack;
  #entries: readonly DenyEntry[] = [];
  #version = 0;

  private constructor(parts: {
    readonly authority: TestAuthority;
    readonly nats: TestNatsServer;
    readonly kv: KV;
    readonly policyKv: KV;
    readonly owned: AsyncDisposableStack;
  }) {
    this.authority = parts.authority;
    this.nats = parts.nats;
    this.kv = parts.kv;
    this.#policyKv = parts.policyKv;
    this.#owned = parts.owned;
    this.#state = new PolicyState({ scope: "subscribed", bundle: () => this.authority.bundle });
  }

  static async open(): Promise<EnrollmentWorld> {
    const owned = new AsyncDisposableStack();
    const authority = await createTestAuthority(trustDomain);
    const nats = owned.use(await natsServer());
    const connection = await connect({ servers: nats.url });
    owned.defer(() => connection.close());
    const buckets = new Kvm(connection);
    const [kv, policyKv] = [await buckets.create("enrollment"), await buckets.create("policy")];
    const world = new EnrollmentWorld({ authority, nats, kv, policyKv, owned });
    await world.#start();
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  async admin(): Promise<Admin> {
    return await this.client(await this.authority.source(adminId(trustDomain, "local")));
  }

  async workload(name: string, instance: string): Promise<Admin> {
    return await this.client(await this.authority.source(workloadId(trustDomain, name, instance)));
  }

  /** A workload by what enrollment gave it. */
  async enrolled(answer: EnrollResponse, privateKey: Parameters<typeof createSvid>[1]): Promise<Admin> {
    return await this.client(new RotatingSvid(createSvid(answer.certificateChain, privateKey), this.authority.bundle));
  }

  async client(identity: SvidSource): Promise<Admin> {
    return serviceClient(this.#channel(this.#grpcPort, identity), EnrollmentServiceService);
  }

  /** Somebody without an identity: the listener asks for none. */
  async stranger(): Promise<Stranger> {
    const unasked = await this.authority.source(workloadId(trustDomain, "nobody", "0"));
    return serviceClient(this.#channel(this.enrollPort, unasked), EnrollServiceService);
  }

  async token(
    workload: string,
    changes: Partial<Parameters<Admin["createToken"]>[0]> = {},
  ): Promise<{ readonly tokenId: string; readonly secret: string; readonly text: string }> {
    const { tokenId, token } = await (
      await this.admin()
    ).createToken({ workload, ttlSeconds: 0, keyThumbprint: "", ...changes });
    return { tokenId, secret: token.slice(token.lastIndexOf(".") + 1), text: token };
  }

  /** Publishes deny-list and head, and waits until enrollment has them. */
  async publishPolicy(denied: readonly Subject["kind"][] = []): Promise<void> {
    this.#version += 1;
    this.#entries = denied.map((kind) => ({ subject: { kind }, reason: "stolen", sinceUnixMs: Date.now() }));
    const denyList: DenyList = { version: this.#version, entries: [...this.#entries] };
    const svid = await this.authority.issue(serviceId(trustDomain, "policy", "1"));
    const head = createHead({
      sequence: this.#version,
      timeUnixMs: Date.now(),
      policyVersion: 0,
      slices: new Map(),
      denyList,
    });
    const arrived = Promise.withResolvers<void>();
    const stop = this.#state.onChange(() => {
      if (this.#state.versions.denyListVersion === this.#version && this.#state.freshness().kind === "fresh")
        arrived.resolve();
    });
    await this.#policyKv.put(
      "denylist",
      SignedEnvelope.encode(sealEnvelope(DENY_LIST_TYPE, encodeDenyList(denyList), svid)).finish(),
    );
    await this.#policyKv.put(
      "head",
      SignedEnvelope.encode(sealEnvelope(HEAD_TYPE, Head.encode(head).finish(), svid)).finish(),
    );
    await arrived.promise;
    stop();
  }

  #channel(port: number, identity: SvidSource): ReturnType<typeof grpcChannel> {
    return this.#owned.use(
      grpcChannel({
        address: `127.0.0.1:${port}`,
        identity,
        expect: (peer) => peer.kind === "service" && peer.name === "enrollment",
      }),
    );
  }

  async #start(): Promise<void> {
    const log = pino({ level: "trace" }, { write: (line) => this.logLines.push(line) });
    const identity = await this.authority.source(serviceId(trustDomain, "enrollment", "1"));
    const stop = this.#owned.adopt(new AbortController(), (controller) => controller.abort());
    void followPolicy({ kv: this.#policyKv, state: this.#state, log, signal: stop.signal });
    const grpc = this.#owned.use(new GrpcServer({ identity, listen, log }));
    const strangers = this.#owned.use(strangersServer({ identity, listen, log }));
    addEnrollment(
      { grpc, strangers },
      {
        trustDomain,
        routers: ["router.test:443"],
        bundle: () => identity.bundle(),
        record: (event) => this.events.push(event),
        tokens: tokenStore(this.kv),
        generations: generationStore(this.kv),
        certifier: this.#certifier(),
        revocations: policyRevocations(this.#state),
      },
    );
    this.#grpcPort = await grpc.listen();
    this.enrollPort = await strangers.listen();
  }

  #certifier(): Certifier {
    const { intermediate } = this.authority;
    return {
      certify: async ({ id, spki }) => {
        await this.beforeCertifying();
        this.certified.push(id.uri);
        return [
          await issueLeaf({ id, spki, ttlSeconds: 3600, now: new Date(), issuer: intermediate }),
          intermediate.certificate,
        ];
      },
    };
  }
}
