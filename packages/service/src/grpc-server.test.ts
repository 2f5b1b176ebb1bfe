import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { status } from "@grpc/grpc-js";
import {
  adminId,
  createRoot,
  createSvid,
  generateKeyPair,
  issueLeaf,
  RotatingSvid,
  serviceId,
  spkiOf,
  workloadId,
  type SvidSource,
} from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { AuditServiceService, Event } from "@sallyport/proto/audit";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import {
  ServerReflectionService,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "@sallyport/proto/reflection";
import { createTestAuthority } from "@sallyport/testing";
import { service as healthService } from "grpc-health-check";
import { expect, test } from "vitest";
import { retry } from "./backoff.ts";
import type { CallerRule } from "./caller-rule.ts";
import { callStream, callUnary, grpcChannel, serviceClient, type GrpcChannel } from "./grpc-channel.ts";
import { GrpcServer } from "./grpc-server.ts";
import { createLogger } from "./logger.ts";
import { Readiness, type ReadinessBlock } from "./readiness.ts";
import { RpcError } from "./rpc-error.ts";
import { peerOf, type Implementation } from "./rpc-handler.ts";
import type { Method } from "./rpc-method.ts";

const domain = "sallyport.local";
const authority = await createTestAuthority(domain);
const caSource = await authority.source(serviceId(domain, "ca", "1"));
const bootstrapRoot = await createRoot({
  trustDomain: domain,
  commonName: "bootstrap",
  ttlDays: 30,
  now: new Date(),
  pathLength: 0,
});
const log = createLogger({ name: "ca", instance: "1", level: "silent" });

const caMethods: Implementation<typeof CertificateAuthorityServiceService> = {
  issueWorkloadSvid: async (request) => {
    throw new RpcError({
      code: "SPIFFE_ID_INVALID",
      status: status.INVALID_ARGUMENT,
      message: "The SPIFFE ID is not a workload's.",
      field: "spiffe_id",
      remedy: "Send a workload's SPIFFE ID.",
      metadata: { got: request.spiffeId },
      decisionId: "d-1",
    });
  },
  issueServiceSvid: async () => {
    throw new TypeError("the password is swordfish");
  },
  getTrustBundle: async (_request, call) => ({ trustDomain: peerOf(call).identity.id.uri, roots: [], sequence: 1 }),
  getStatus: async () => ({
    trustDomain: domain,
    issued: 7,
    rootNotAfterUnixMs: 0,
    intermediateNotAfterUnixMs: 0,
    rootFingerprint: "",
  }),
};

const caRules: Record<keyof typeof CertificateAuthorityServiceService, CallerRule> = {
  issueWorkloadSvid: { service: "enrollment" },
  issueServiceSvid: "bootstrap",
  getTrustBundle: "any-or-bootstrap",
  getStatus: "admin",
};

async function startCa(): Promise<AsyncDisposable & { readonly port: number; readonly server: GrpcServer }> {
  const server = new GrpcServer({
    identity: caSource,
    listen: { host: "127.0.0.1", port: 0 },
    log,
    bootstrapRoots: () => [bootstrapRoot.certificate],
  });
  server.add(CertificateAuthorityServiceService, caMethods, caRules);
  const port = await server.listen();
  return { port, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

function channelTo(port: number, identity: SvidSource): GrpcChannel {
  return grpcChannel({
    address: `127.0.0.1:${port}`,
    identity,
    expect: (id) => id.kind === "service" && id.name === "ca",
  });
}

async function bootstrapSource(): Promise<RotatingSvid> {
  const { privateKey } = generateKeyPair();
  const id = serviceId(domain, "enrollment", "1");
  const leaf = await issueLeaf({
    id,
    spki: spkiOf(privateKey),
    ttlSeconds: 3600,
    now: new Date(),
    issuer: bootstrapRoot,
  });
  return new RotatingSvid(createSvid([leaf], privateKey), authority.bundle);
}

async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error: unknown = await call.then(
    () => new Error("the call was allowed"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof RpcError) return error;
  throw error;
}

test("a call carries the proven identity of its connection", async () => {
  await using ca = await startCa();
  const admin = adminId(domain, "local");
  using channel = channelTo(ca.port, await authority.source(admin));
  const { getStatus, getTrustBundle } = serviceClient(channel, CertificateAuthorityServiceService);
  expect(await getStatus({})).toMatchObject({ issued: 7 });
  expect((await getTrustBundle({})).trustDomain).toBe(admin.uri);
});

test("a failure reaches the caller with its code, field, remedy, decision and facts", async () => {
  await using ca = await startCa();
  using channel = channelTo(ca.port, await authority.source(serviceId(domain, "enrollment", "7")));
  const { issueWorkloadSvid } = serviceClient(channel, CertificateAuthorityServiceService);
  const error = await refusal(
    issueWorkloadSvid({ spiffeId: "x", publicKeySpki: Buffer.alloc(0), ttlSeconds: 0, requestId: "" }),
  );
  expect(error).toMatchObject({
    code: "SPIFFE_ID_INVALID",
    status: status.INVALID_ARGUMENT,
    message: "The SPIFFE ID is not a workload's.",
    field: "spiffe_id",
    remedy: "Send a workload's SPIFFE ID.",
    metadata: { got: "x" },
    decisionId: "d-1",
  });
});

test("what a handler throws by accident says nothing of itself to the caller", async () => {
  await using ca = await startCa();
  using channel = channelTo(ca.port, await bootstrapSource());
  const error = await refusal(
    serviceClient(channel, CertificateAuthorityServiceService).issueServiceSvid({ csr: Buffer.alloc(0), bus: false }),
  );
  expect(error).toMatchObject({ code: "INTERNAL", status: status.INTERNAL });
  expect(`${error.message} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain("swordfish");
});

test("each kind of caller may call exactly its methods", async () => {
  await using ca = await startCa();
  const callers: readonly (readonly [string, SvidSource, readonly string[]])[] = [
    ["admin", await authority.source(adminId(domain, "local")), ["getTrustBundle", "getStatus"]],
    ["workload", await authority.source(workloadId(domain, "agent", "1")), ["getTrustBundle"]],
    [
      "enrollment",
      await authority.source(serviceId(domain, "enrollment", "1")),
      ["issueWorkloadSvid", "getTrustBundle"],
    ],
    ["policy", await authority.source(serviceId(domain, "policy", "1")), ["getTrustBundle"]],
    ["bootstrap", await bootstrapSource(), ["issueServiceSvid", "getTrustBundle"]],
  ];
  const table: Record<string, readonly string[]> = {};
  for (const [name, identity] of callers) {
    using channel = channelTo(ca.port, identity);
    const ca1 = serviceClient(channel, CertificateAuthorityServiceService);
    const outcomes = await Promise.all([
      outcome(
        "issueWorkloadSvid",
        ca1.issueWorkloadSvid({ spiffeId: "", publicKeySpki: Buffer.alloc(0), ttlSeconds: 0, requestId: "" }),
      ),
      outcome("issueServiceSvid", ca1.issueServiceSvid({ csr: Buffer.alloc(0), bus: false })),
      outcome("getTrustBundle", ca1.getTrustBundle({})),
      outcome("getStatus", ca1.getStatus({})),
    ]);
    table[name] = outcomes.flat();
  }
  expect(table).toEqual(Object.fromEntries(callers.map(([name, , methods]) => [name, methods])));
});

/** The method's name when its handler was reached. */
async function outcome(method: string, call: Promise<unknown>): Promise<readonly string[]> {
  try {
    await call;
    return [method];
  } catch (error) {
    return error instanceof RpcError && error.code === "CALLER_NOT_ALLOWED" ? [] : [method];
  }
}

test("a rogue root and an expired leaf do not get as far as a call", async () => {
  await using ca = await startCa();
  const rogue = await createTestAuthority(domain);
  const admin = adminId(domain, "local");
  const sources = [
    new RotatingSvid(await rogue.issue(admin), authority.bundle),
    new RotatingSvid(
      await authority.issue(admin, { now: new Date(Date.now() - 7_200_000), ttlSeconds: 60 }),
      authority.bundle,
    ),
  ];
  for (const source of sources) {
    using channel = channelTo(ca.port, source);
    const error = await refusal(
      serviceClient(channel, CertificateAuthorityServiceService).getStatus({}, { timeoutMs: 1_500 }),
    );
    expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(error.status);
  }
});

test("no connection outlives the leaf that opened it", async () => {
  await using ca = await startCa();
  const shortLived = await authority.source(adminId(domain, "local"), { ttlSeconds: 2 });
  using channel = channelTo(ca.port, shortLived);
  const { getStatus } = serviceClient(channel, CertificateAuthorityServiceService);
  await getStatus({});
  const { notAfter } = shortLived.current();
  await new Promise<void>((resolve) => setTimeout(resolve, notAfter.getTime() - Date.now() + 200));
  const error = await refusal(getStatus({}, { timeoutMs: 1_000 }));
  expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(error.status);
  shortLived.rotate(await authority.issue(adminId(domain, "local")), authority.bundle);
  const attempts = { firstMs: 50, maxMs: 200, signal: AbortSignal.timeout(5_000) };
  expect(await retry(() => getStatus({}), attempts)).toMatchObject({ issued: 7 });
});

test("a client does not talk to a server of another identity", async () => {
  await using ca = await startCa();
  const identity = await authority.source(adminId(domain, "local"));
  using channel = grpcChannel({
    address: `127.0.0.1:${ca.port}`,
    identity,
    expect: (id) => id.kind === "service" && id.name === "policy",
  });
  const error = await refusal(
    serviceClient(channel, CertificateAuthorityServiceService).getStatus({}, { timeoutMs: 1_500 }),
  );
  expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(error.status);
});

test("health follows readiness, for the server and for each service", async () => {
  await using ca = await startCa();
  const readiness = new Readiness();
  const block = readiness.block("the test");
  ca.server.health.follow(readiness);
  using channel = channelTo(ca.port, await authority.source(adminId(domain, "local")));
  const check = healthService["Check"] as unknown as Method<{ service: string }, { status: string }>;
  const statusOfService = async (service: string): Promise<string> =>
    (await callUnary(channel, check, { service })).status;
  expect(await statusOfService("")).toBe("NOT_SERVING");
  block[Symbol.dispose]();
  expect(await statusOfService("")).toBe("SERVING");
  expect(await statusOfService("sallyport.ca.v1.CertificateAuthorityService")).toBe("SERVING");
  expect(await refusal(statusOfService("nobody.v1.Service"))).toMatchObject({ status: status.NOT_FOUND });
});

test("a watch of health sees each change", async () => {
  await using ca = await startCa();
  const readiness = new Readiness();
  ca.server.health.follow(readiness);
  using channel = channelTo(ca.port, await authority.source(adminId(domain, "local")));
  const watch = healthService["Watch"] as unknown as Method<{ service: string }, { status: string }>;
  const seen: string[] = [];
  let block: ReadinessBlock | undefined;
  for await (const update of callStream(channel, watch, { service: "" })) {
    seen.push(update.status);
    if (seen.length === 1) block = readiness.block("the test");
    if (seen.length === 2) block?.[Symbol.dispose]();
    if (seen.length === 3) break;
  }
  expect(seen).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
});

test("reflection lists the services and describes them, to whoever has an SVID", async () => {
  await using ca = await startCa();
  using channel = channelTo(ca.port, await authority.source(adminId(domain, "local")));
  const names = ["sallyport.ca.v1.CertificateAuthorityService", "grpc.health.v1.Health"];
  const listed = await reflect(channel, { $case: "listServices", value: "" });
  expect(listed).toEqual({
    $case: "listServicesResponse",
    value: { service: [...names, "grpc.reflection.v1.ServerReflection"].map((name) => ({ name })) },
  });
  for (const name of [...names, `${names[0]}.GetTrustBundle`, "grpc.reflection.v1.ServerReflectionRequest"]) {
    const described = await reflect(channel, { $case: "fileContainingSymbol", value: name });
    expect(described?.$case, name).toBe("fileDescriptorResponse");
  }
  using bootstrap = channelTo(ca.port, await bootstrapSource());
  await expect(reflect(bootstrap, { $case: "listServices", value: "" })).rejects.toThrow(/may not call/);
});

/** One question to server reflection, as tools such as grpcurl put it. */
async function reflect(
  { client }: GrpcChannel,
  messageRequest: NonNullable<ServerReflectionRequest["messageRequest"]>,
): Promise<ServerReflectionResponse["messageResponse"]> {
  const { path, requestSerialize, responseDeserialize } = ServerReflectionService.serverReflectionInfo;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  stream.write({ host: "", messageRequest });
  const [answer] = (await once(stream, "data")) as [ServerReflectionResponse];
  stream.end();
  await once(stream.resume(), "end");
  return answer.messageResponse;
}

test("a stranger reaches what is meant for strangers, for a while, and nothing to look around with", async () => {
  const server = new GrpcServer({
    identity: caSource,
    listen: { host: "127.0.0.1", port: 0 },
    log,
    alpn: ["sallyport-enroll/1"],
    clientCertificate: "none",
    strangerMs: 400,
  });
  const rules = { ...caRules, getStatus: "unauthenticated" } as const;
  server.add(CertificateAuthorityServiceService, caMethods, rules);
  await using _server = server;
  const port = await server.listen();
  const { socket } = await connectMtls({
    carrier: { host: "127.0.0.1", port },
    identity: null,
    trust: authority.bundle,
    alpn: "sallyport-enroll/1",
    expect: () => true,
  });
  const closed = once(socket, "close");
  const session = connectHttp2("https://enrollment", { createConnection: () => socket });
  session.on("error", () => undefined);
  const paths = ["getStatus", "getTrustBundle"] as const;
  const outcomes = [];
  for (const name of paths) outcomes.push(await statusByHand(session, CertificateAuthorityServiceService[name].path));
  outcomes.push(await statusByHand(session, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
  outcomes.push(await statusByHand(session, "/grpc.health.v1.Health/Check"));
  expect(outcomes).toEqual([status.OK, status.PERMISSION_DENIED, status.UNIMPLEMENTED, status.UNIMPLEMENTED]);
  await closed;
});

/** One unary call with an empty request, frame by frame: the gRPC client of this package does not speak without an identity. */
async function statusByHand(session: ClientHttp2Session, path: string): Promise<number> {
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request(headers);
  const found = new Promise<number>((resolve) => {
    const look = (block: IncomingHttpHeaders): void => {
      if (block["grpc-status"] !== undefined) resolve(Number(block["grpc-status"]));
    };
    stream.on("response", look).on("trailers", look);
  });
  stream.resume().end(Buffer.alloc(5));
  return await found;
}

test("a stream brings each message, and ends at both sides when the caller stops", async () => {
  const server = new GrpcServer({ identity: caSource, listen: { host: "127.0.0.1", port: 0 }, log });
  const gone = Promise.withResolvers<string>();
  const never = async (): Promise<never> => {
    throw new Error("not part of this test");
  };
  server.add(
    AuditServiceService,
    {
      search: never,
      getStatus: never,
      tail: async function* (_request, { signal }): AsyncGenerator<Event> {
        signal.addEventListener("abort", () => gone.resolve("caller gone"));
        for (let n = 0; ; n += 1) yield Event.fromPartial({ eventId: String(n) });
      },
    },
    { search: "admin", getStatus: "admin", tail: "admin" },
  );
  await using _server = server;
  const port = await server.listen();
  using channel = channelTo(port, await authority.source(adminId(domain, "local")));
  const seen: string[] = [];
  for await (const { eventId } of callStream(channel, AuditServiceService.tail, { filter: undefined })) {
    seen.push(eventId);
    if (seen.length === 3) break;
  }
  expect(seen).toEqual(["0", "1", "2"]);
  expect(await gone.promise).toBe("caller gone");
});
