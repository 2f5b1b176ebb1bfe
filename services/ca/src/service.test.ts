import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  adminId,
  createCsr,
  createRoot,
  generateKeyPair,
  pemOf,
  RotatingSvid,
  routerId,
  sealPrivateKey,
  serviceId,
  sha256Hex,
  spkiOf,
  verifyChain,
  workloadId,
  type Issuer,
  type SpiffeId,
  type SvidSource,
} from "@sallyport/identity";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import { createLogger, GrpcServer, grpcChannel, serviceClient, type ServiceClient } from "@sallyport/service";
import { createTestAuthority, forgeSvid, type TestAuthority } from "@sallyport/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Authority } from "./domain/authority.ts";
import { addCertificateAuthority } from "./service.ts";
import { IssuanceLog } from "./store/issuance-log.ts";
import { loadSigningState } from "./store/signing-state.ts";

type Client = ServiceClient<typeof CertificateAuthorityServiceService>;

const owned = new AsyncDisposableStack();
let trusted: TestAuthority;
let bootstrap: Issuer;
let stateDir: string;
let port: number;

beforeAll(async () => {
  trusted = await createTestAuthority("a.org");
  bootstrap = await createRoot({
    trustDomain: "a.org",
    commonName: "bootstrap",
    ttlDays: 10,
    now: new Date(),
    pathLength: 0,
  });
  stateDir = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  owned.defer(() => rm(stateDir, { recursive: true }));
  const keyEncryptionKey = randomBytes(32);
  await writeState(stateDir, keyEncryptionKey);
  const state = await loadSigningState({ stateDir, trustDomain: "a.org", keyEncryptionKey });
  const log = owned.use(await IssuanceLog.open(join(stateDir, "issuance.log")));
  const grpc = owned.use(
    new GrpcServer({
      identity: await trusted.source(serviceId("a.org", "ca", "1")),
      listen: { host: "127.0.0.1", port: 0 },
      log: createLogger({ name: "ca", instance: "1", level: "silent" }),
      bootstrapRoots: () => state.bootstrapRoots,
    }),
  );
  addCertificateAuthority(grpc, new Authority(state, log, { defaultTtlSeconds: 3600 }));
  port = await grpc.listen();
});

afterAll(() => owned.disposeAsync());

async function writeState(dir: string, keyEncryptionKey: Buffer): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "root.pem"), pemOf([trusted.root.certificate]));
  await writeFile(join(dir, "intermediate.pem"), pemOf([trusted.intermediate.certificate]));
  await writeFile(join(dir, "intermediate-key.pem"), sealPrivateKey(trusted.intermediate.privateKey, keyEncryptionKey));
  await writeFile(join(dir, "bootstrap-roots.pem"), pemOf([bootstrap.certificate]));
}

function clientOf(identity: SvidSource): Client {
  const channel = owned.use(
    grpcChannel({ address: `127.0.0.1:${port}`, identity, expect: ({ kind }) => kind === "service" }),
  );
  return serviceClient(channel, CertificateAuthorityServiceService);
}

async function svidClient(id: SpiffeId): Promise<Client> {
  return clientOf(await trusted.source(id));
}

function bootstrapClient(id: SpiffeId): Client {
  return clientOf(new RotatingSvid(forgeSvid(bootstrap, { uris: [id.uri], chain: [] }), trusted.bundle));
}

async function logged(): Promise<readonly Record<string, unknown>[]> {
  return (await readFile(join(stateDir, "issuance.log"), "utf8"))
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line.slice(65)));
}

const agent = workloadId("a.org", "agent", "one");

function request(
  changes: Partial<Parameters<Client["issueWorkloadSvid"]>[0]> = {},
): Parameters<Client["issueWorkloadSvid"]>[0] {
  return {
    spiffeId: agent.uri,
    publicKeySpki: spkiOf(generateKeyPair().publicKey),
    ttlSeconds: 0,
    requestId: "r",
    ...changes,
  };
}

describe("IssueWorkloadSvid", () => {
  test("gives enrollment a chain that verifies, for an hour, and puts it on record first", async () => {
    const client = await svidClient(serviceId("a.org", "enrollment", "1"));
    const answer = await client.issueWorkloadSvid(request());
    const verified = verifyChain(answer.certificateChain, trusted.bundle, new Date());
    expect(verified).toMatchObject({ identity: { kind: "workload", id: agent }, serial: answer.serial });
    expect(verified.notAfter.getTime() - verified.notBefore.getTime()).toBe(3_610_000);
    expect(answer.bundle).toMatchObject({ trustDomain: "a.org", roots: [trusted.root.certificate] });
    const [leaf = Buffer.alloc(0)] = answer.certificateChain;
    expect((await logged()).at(-1)).toMatchObject({
      serial: answer.serial,
      spiffeId: agent.uri,
      requestId: "r",
      requestedBy: "spiffe://a.org/service/enrollment/1",
      certificateSha256: sha256Hex(leaf),
    });
  });

  test("gives no certificate that the log does not name, however many ask at once", async () => {
    const client = await svidClient(serviceId("a.org", "enrollment", "1"));
    const answers = await Promise.all(Array.from({ length: 40 }, () => client.issueWorkloadSvid(request())));
    const serials = new Set((await logged()).map(({ serial }) => serial));
    for (const { serial } of answers) expect(serials).toContain(serial);
    expect(new Set(answers.map(({ serial }) => serial)).size).toBe(40);
  });

  test.each([
    ["another trust domain", { spiffeId: "spiffe://b.org/workload/agent/one" }, "SPIFFE_ID_INVALID"],
    ["a service", { spiffeId: "spiffe://a.org/service/policy/1" }, "SPIFFE_ID_INVALID"],
    ["an administrator", { spiffeId: "spiffe://a.org/admin/local" }, "SPIFFE_ID_INVALID"],
    ["a name with a dot", { spiffeId: "spiffe://a.org/workload/a.b/one" }, "SPIFFE_ID_INVALID"],
    ["nothing", { spiffeId: "" }, "SPIFFE_ID_INVALID"],
    ["a key that is none", { publicKeySpki: Buffer.from("key") }, "PUBLIC_KEY_UNSUPPORTED"],
    ["59 seconds", { ttlSeconds: 59 }, "TTL_OUT_OF_RANGE"],
    ["more than a day", { ttlSeconds: 86_401 }, "TTL_OUT_OF_RANGE"],
    ["a request id of 129 bytes", { requestId: "x".repeat(129) }, "REQUEST_ID_INVALID"],
  ])("refuses %s", async (_, changes, code) => {
    const client = await svidClient(serviceId("a.org", "enrollment", "1"));
    const before = (await logged()).length;
    await expect(client.issueWorkloadSvid(request(changes))).rejects.toMatchObject({ code });
    expect(await logged()).toHaveLength(before);
  });

  test("is for enrollment only", async () => {
    for (const id of [agent, routerId("a.org", "r1"), adminId("a.org", "local"), serviceId("a.org", "policy", "1")]) {
      await expect((await svidClient(id)).issueWorkloadSvid(request())).rejects.toMatchObject({
        code: "CALLER_NOT_ALLOWED",
      });
    }
    await expect(
      bootstrapClient(serviceId("a.org", "enrollment", "1")).issueWorkloadSvid(request()),
    ).rejects.toMatchObject({ code: "CALLER_NOT_ALLOWED" });
  });
});

describe("IssueServiceSvid", () => {
  const csr = (): Promise<Buffer> => createCsr(generateKeyPair().privateKey);

  test.each([
    [routerId("a.org", "r1"), "spiffe://a.org/bus/router"],
    [serviceId("a.org", "policy", "2"), "spiffe://a.org/bus/policy"],
  ])("gives the holder of %s its own ID, and its role's on the bus", async (id, onBus) => {
    const client = bootstrapClient(id);
    const own = await client.issueServiceSvid({ csr: await csr(), bus: false });
    expect(verifyChain(own.certificateChain, trusted.bundle, new Date()).identity.id.uri).toBe(id.uri);
    const bus = await client.issueServiceSvid({ csr: await csr(), bus: true });
    expect(verifyChain(bus.certificateChain, trusted.bundle, new Date()).identity.id.uri).toBe(onBus);
  });

  test("gives an administrator and the bus itself their own ID, and none on the bus", async () => {
    for (const id of [adminId("a.org", "local"), serviceId("a.org", "nats", "1")]) {
      const client = bootstrapClient(id);
      const own = await client.issueServiceSvid({ csr: await csr(), bus: false });
      expect(verifyChain(own.certificateChain, trusted.bundle, new Date()).identity.id.uri).toBe(id.uri);
      await expect(client.issueServiceSvid({ csr: await csr(), bus: true })).rejects.toMatchObject({
        code: "BOOTSTRAP_UNKNOWN",
      });
    }
  });

  test("gives a workload nothing", async () => {
    await expect(bootstrapClient(agent).issueServiceSvid({ csr: await csr(), bus: false })).rejects.toMatchObject({
      code: "BOOTSTRAP_UNKNOWN",
    });
  });

  test("is for bootstrap credentials only: an SVID cannot renew itself here", async () => {
    const client = await svidClient(routerId("a.org", "r1"));
    await expect(client.issueServiceSvid({ csr: await csr(), bus: false })).rejects.toMatchObject({
      code: "CALLER_NOT_ALLOWED",
    });
  });

  test("refuses a request without proof of possession", async () => {
    const damaged = await csr();
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    await expect(
      bootstrapClient(routerId("a.org", "r1")).issueServiceSvid({ csr: damaged, bus: false }),
    ).rejects.toMatchObject({ code: "CSR_INVALID" });
  });

  test("refuses the credential of another bootstrap CA before any call", async () => {
    const other = await createRoot({
      trustDomain: "a.org",
      commonName: "bootstrap",
      ttlDays: 10,
      now: new Date(),
      pathLength: 0,
    });
    const client = clientOf(
      new RotatingSvid(forgeSvid(other, { uris: [routerId("a.org", "r1").uri], chain: [] }), trusted.bundle),
    );
    await expect(client.issueServiceSvid({ csr: await csr(), bus: false }, { timeoutMs: 1000 })).rejects.toMatchObject({
      name: "RpcError",
    });
  });
});

describe("GetTrustBundle and GetStatus", () => {
  test("tell every SVID and bootstrap credential the roots", async () => {
    const bundle = { trustDomain: "a.org", roots: [trusted.root.certificate], sequence: 1 };
    expect(await (await svidClient(agent)).getTrustBundle({})).toEqual(bundle);
    expect(await bootstrapClient(routerId("a.org", "r1")).getTrustBundle({})).toEqual(bundle);
  });

  test("tell the administrator how many certificates there are", async () => {
    const status = await (await svidClient(adminId("a.org", "local"))).getStatus({});
    expect(status).toMatchObject({
      trustDomain: "a.org",
      issued: (await logged()).length,
      rootFingerprint: sha256Hex(trusted.root.certificate),
    });
    await expect((await svidClient(agent)).getStatus({})).rejects.toMatchObject({ code: "CALLER_NOT_ALLOWED" });
    await expect(bootstrapClient(adminId("a.org", "local")).getStatus({})).rejects.toMatchObject({
      code: "CALLER_NOT_ALLOWED",
    });
  });
});

describe("the signing state", () => {
  test("is not usable under another key encryption key, or with the key or root of another CA", async () => {
    const dir = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
    owned.defer(() => rm(dir, { recursive: true }));
    const keyEncryptionKey = randomBytes(32);
    const load = (kek = keyEncryptionKey): Promise<unknown> =>
      loadSigningState({ stateDir: dir, trustDomain: "a.org", keyEncryptionKey: kek });
    await expect(load()).rejects.toMatchObject({ code: "STATE_INVALID" });
    await writeState(dir, keyEncryptionKey);
    await load();
    await expect(load(randomBytes(32))).rejects.toMatchObject({ code: "STATE_INVALID" });
    await writeFile(join(dir, "intermediate-key.pem"), sealPrivateKey(generateKeyPair().privateKey, keyEncryptionKey));
    await expect(load()).rejects.toMatchObject({ code: "STATE_INVALID" });
    await writeState(dir, keyEncryptionKey);
    await writeFile(join(dir, "root.pem"), pemOf([(await createTestAuthority("a.org")).root.certificate]));
    await expect(load()).rejects.toMatchObject({ code: "STATE_INVALID" });
  });
});
